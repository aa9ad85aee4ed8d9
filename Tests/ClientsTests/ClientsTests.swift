// ClientsTests
