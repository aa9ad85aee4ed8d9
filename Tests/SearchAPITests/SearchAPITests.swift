// SearchAPITests
