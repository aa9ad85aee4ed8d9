import Bytes
import Testing

@Suite struct RedactionTests {
    @Test(arguments: [
        ("https://stream.wikimedia.org/v2/stream/recentchange", "https://stream.wikimedia.org/v2/stream/recentchange"),
        ("http://user:s3cret@h:8080/x", "http://***@h:8080/x"), ("http://s3cret@h/", "http://***@h/"),
        ("http://user:@h/s", "http://***@h/s"), ("http://:s3cret@[::1]:80/", "http://***@[::1]:80/"),
        ("http://h/x?token=s3cret&wiki=s3cret", "http://h/x?token=***&wiki=***"),
        ("http://h/x?s3cret", "http://h/x?***"), ("http://h?a=s3cret;b=s3cret", "http://h?a=***&b=***"),
        ("http://h/x?a=b=s3cret&&c", "http://h/x?a=***&&***"), ("http://h/x#s3cret", "http://h/x#***"),
        ("http://h/x?", "http://h/x?"), ("http://h/@somebody", "http://h/@somebody"),
        // What should have been escaped and was not.
        ("http://u:s3/cret@h/x", "http://***@h/x"), ("http://u:s3@cret@h/x", "http://***@h/x"),
        ("http://u:s3?cret@h/x", "http://***@h/x"), ("http://u:s3#cret@h/x", "http://***@h/x"),
        ("http://u:s3@cr/et@h/x", "http://***@h/x"),
        ("http://u:s3cret@h:80/a@b", "http://***@h:80/a@b"),
        ("http://u:s3cret@h.example/a@b", "http://***@h.example/a@b"), ("http://u:s3cret", "http://***"),
        ("http://u:s3cret@", "http://***"), ("user:s3cret@h:9092", "***@h:9092"), ("h:9092", "h:9092"),
        ("http://u:s%33cret@h/x", "http://***@h/x"), ("https://u:p@h/x?email=a@b", "https://***@h/x?email=***"),
        ("", ""), ("http://", "http://***"), ("://s3cret@h", "://***@h"), ("weird", "weird"),
        ("http://gw/https://u:s3cret@h/x?k=s3cret", "http://gw/https://***@h/x?k=***"),
        ("a://b://s3cret@c", "a://b://***@c"),
    ])
    func urls(text: String, shown: String) {
        #expect(Redaction.url(text) == shown)
        #expect("\(SecretURL(text))" == shown && String(reflecting: SecretURL(text)) == shown)
        #expect(SecretURL(text).revealed == text)
    }

    @Test(arguments: [
        ("host=h user=u password=s3cret", "host=h user=u password=***"),
        ("password = 's3 \\'cret' host=h", "password=*** host=h"), ("host=h password=s3 cret", "***"),
        ("host=h sslpassword=s3cret sslkey=/k", "host=h sslpassword=*** sslkey=/k"),
        (
            "host=h scram_client_key=s3cret oauth_client_secret=s3cret",
            "host=h scram_client_key=*** oauth_client_secret=***"
        ),
        ("host=h password='s3cret", "***"), ("host=h passfile=/etc/me.pgpass", "host=h passfile=/etc/me.pgpass"),
        (
            "postgresql://u:s3cret@a:1,b:2/db?sslmode=on&sslpassword=s3cret",
            "postgresql://u:***@a:1,b:2/db?sslmode=on&sslpassword=***"
        ),
        ("postgresql://u:s3@cr/et@h/db", "postgresql://***"),
        // Parameters that follow the host at once.
        (
            "postgresql://db.example?user=app&password=s3cret&sslmode=on",
            "postgresql://db.example?user=app&password=***&sslmode=on"
        ),
        ("postgresql://?host=/var/run/pg&password=s3cret", "postgresql://?host=/var/run/pg&password=***"),
        ("postgresql://u@h?password=s3cret", "postgresql://u@h?password=***"),
        ("postgres://u:s3cret@a:1,b:2?password=s3cret", "postgres://u:***@a:1,b:2?password=***"),
        ("postgresql://h?password=s3/cret", "postgresql://h?password=***"),
        ("postgresql://h?password=s3@cret", "postgresql://***"), ("postgresql://s3?cret@h", "postgresql://***"),
        ("postgresql://u:x?password=s3@cret", "postgresql://***"),
        ("postgresql://h/db?pass%77ord=s3cret", "postgresql://h/db?pass%77ord=***"),
        ("postgresql://h/db?s3cret", "postgresql://h/db?***"),
        ("postgresql://u:s3?cr/et@h/db", "postgresql://***"), ("postgresql://u:x@s?s3cret/w@h", "postgresql://***"),
        ("postgresql:///db?host=/run", "postgresql:///db?host=/run"),
        ("postgresql://u:s3cret@/db", "postgresql://u:***@/db"),
        // A value that is a URL.
        ("host=h password=s3://cret", "host=h password=***"),
        ("password=s3cret options=a://b", "password=*** options=a://b"),
        ("h/x?token=s3cret", "***"),
        ("postgresql://u:s3?cret@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:s3#cret@h/db", "postgresql://u:***@h/db"),
    ])
    func connectionStrings(text: String, shown: String) {
        #expect(Redaction.dsn(text) == shown)
        #expect("\(SecretURL(text))" == shown)
        #expect(!SecretURL(text).scrubbed("no: \(text)").contains("s3cret"))
    }

    @Test func urlsInTextsOfOthersAreHidden() {
        #expect(
            Redaction.urls(
                in: "Unsupported proxy syntax in 'http://u:s3cret@h:1' and <https://h/x?t=s3cret> \"ftp://s3cret@h\"")
                == "Unsupported proxy syntax in 'http://***@h:1' and <https://h/x?t=***> \"ftp://***@h\"")
        #expect(Redaction.urls(in: "nothing: here") == "nothing: here")
        #expect(Redaction.urls(in: "a://b://s3cret@c ://") != "")
    }

    /// What a library or a server repeats of an address, in whatever form.
    @Test func whatOthersRepeatIsScrubbed() {
        let url = SecretURL("https://me:p%40ssw0rd@h/x?token=abcd1234&q=ab#frag")
        for message in [
            "cannot open https://me:p%40ssw0rd@h/x?token=abcd1234&q=ab#frag", "user me:p%40ssw0rd is refused",
            "wrong password p@ssw0rd", "GET /x?token=abcd1234: 404", "token abcd1234 has expired",
        ] {
            let scrubbed = url.scrubbed(message)
            for secret in ["p%40ssw0rd", "p@ssw0rd", "abcd1234"] { #expect(!scrubbed.contains(secret), "\(scrubbed)") }
        }
        #expect(url.scrubbed("abc me ab") == "abc me ab", "too short to be told from other words")
        let dsn = SecretURL("host=h user=me password='pa ss'")
        #expect(dsn.scrubbed("authentication with “pa ss” failed for me") == "authentication with “***” failed for me")
        for text in [
            "postgresql://u:pa-ss@a:1,b:2/db", "postgresql://h?password=pa-ss", "postgresql://u:x/pa-ss@h/db",
            "password=pa-ss options=a://b",
        ] {
            #expect(!SecretURL(text).scrubbed("the password x/pa-ss or pa-ss is wrong").contains("pa-ss or"), "\(text)")
        }
        #expect(SecretURL("").scrubbed("as it is") == "as it is")
        let token = SecretURL("https://0123456789abcdef0123@h/")
        #expect(token.scrubbed("0123456789abcdef0123 is unknown") == "*** is unknown")
    }
}
