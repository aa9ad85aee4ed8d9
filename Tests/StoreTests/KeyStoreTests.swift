import Access
import Bytes
import IndexTesting
import Store
import Testing

@Suite struct KeyStoreTests {
    private let limit = 60_000

    @Test func keysAreMadeListedAndRevokedForGood() throws {
        let store = KeyStore(configuration: try IndexFixture().configuration)
        #expect(try store.list(timeoutMilliseconds: limit) == [])
        let now: Int64 = 1_770_000_000_123
        let made = (1...3).map { number in
            APIKey(
                id: "key\(number)", name: "Ann's \"\(number)\"", role: Role.allCases[number - 1],
                sha256: String(repeating: "\(number)a", count: 32), createdAtMilliseconds: now + Int64(number),
                expiresAtMilliseconds: number == 2 ? now + 86_400_000 : nil)
        }
        for key in made.reversed() { try store.create(key, timeoutMilliseconds: limit) }
        #expect(try store.list(timeoutMilliseconds: limit) == made)
        let revoked = try #require(try store.revoke("key2", timeoutMilliseconds: limit))
        #expect(revoked.revokedAtMilliseconds != nil)
        #expect(try store.revoke("key2", timeoutMilliseconds: limit) == revoked, "the first time counts")
        #expect(try store.revoke("key9", timeoutMilliseconds: limit) == nil)
        let other = KeyStore(configuration: try IndexFixture().configuration)
        #expect(try other.list(timeoutMilliseconds: limit) == [])
        #expect(try store.list(timeoutMilliseconds: limit) == [made[0], revoked, made[2]])
    }

    @Test func aHashOfAnotherShapeAndASecondKeyOfOneIDAreRefused() throws {
        let store = KeyStore(configuration: try IndexFixture().configuration)
        var key = APIKey(
            id: "a", name: "n", role: .read, sha256: "mdl_in_clear", createdAtMilliseconds: 1)
        #expect(throws: IndexError.self) { try store.create(key, timeoutMilliseconds: limit) }
        key.sha256 = String(repeating: "0", count: 64)
        try store.create(key, timeoutMilliseconds: limit)
        #expect(throws: IndexError.self) { try store.create(key, timeoutMilliseconds: limit) }
    }
}
