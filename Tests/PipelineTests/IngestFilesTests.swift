import Files
import Glibc
import JSONScan
import PlatformTesting
import Testing

/// `medallion ingest` beside a running platform.
@Suite struct IngestFilesTests {
    private static let declaration =
        #"{"sources":[{"name":"notes","connector":{"type":"none"},"logic":{"type":"document","fields":{"id":"id","#
        + #""title":"title","text":"text","lang":"lang","time":"time"}}},"#
        + #"{"name":"shelf","connector":{"type":"files","folder":"shelf"},"logic":{"type":"document","fields":{"id":"id","#
        + #""text":"text"}}}]}"#

    /// A first row of CSV whose end comes in late is waited for, and a stream that begins as one that was read and then differs is
    /// named.
    private static let lateRow = #"""
        columns=$(seq -f column_%g -s , 600)
        cells=$(seq -s , 600)
        rows() {
            printf 'id,text,%s' "$(echo "$columns" | cut -c1-4500)"
            sleep 1
            printf '%s\nk1,%s,%s\n' "$(echo "$columns" | cut -c4501-)" "$1" "$cells"
        }
        rows 'a thermos' | medallion ingest - --format csv --source notes || exit 1
        rows 'a thermos' | medallion ingest - --format csv --source notes | grep 'nothing new' || exit 2
        if rows 'a flask' | medallion ingest - --format csv --source notes > flask.log 2>&1; then exit 3; fi
        grep 'and then differs from it' flask.log || exit 4
        rm flask.log
        """#

    @Test(.timeLimit(.minutes(5))) func aFolderKilledInTheMiddle() async throws {
        let environment = ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "2"]
        try await Deployment.run(environment: environment) { deployment in
            let declared = ["SOURCES_FILE": deployment.file("declared.json")]
            try File.replace(deployment.file("declared.json"), with: Array(Self.declaration.utf8))
            let folder = deployment.file("notes")
            try Folder.create(folder)
            try Folder.create(deployment.file("shelf"))
            try File.replace(
                deployment.file("extra.jsonl"), with: Array((#"{"id":"x1","text":"an astrolabe"}"# + "\n").utf8))
            // Words of letters, which nothing takes apart.
            func word(_ number: Int) -> String {
                "word" + "\(number)".unicodeScalars.map { String(UnicodeScalar(UInt8($0.value) + 49)) }.joined()
            }
            let rows = (0..<1_500).map { "row\($0),\"kettle number \(word($0))\"\n" }
            try File.replace(folder + "/a.csv", with: Array(("id,text\n" + rows.joined()).utf8))
            try File.replace(folder + "/b.md", with: Array("# A teapot\n\nIt is made of *porcelain*.\n".utf8))
            try File.replace(folder + "/c.html", with: Array("<title>Samovar</title><p>Copper and brass.".utf8))
            try File.replace(folder + "/d.txt", with: [0x63, 0xE9])
            try deployment.start("up", environment: declared)
            try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }

            // A dry run tells what would be, and sends nothing.
            let trial = try deployment.refusal(
                ["ingest", folder, "--dry-run", "--source", "notes"], environment: declared)
            #expect(
                trial.contains("1502 documents of 4 files: 1502 would be indexed, 0 would go to quarantine"), "\(trial)"
            )
            #expect(trial.contains("d.txt: is no UTF-8"), "\(trial)")

            // The first 1,200 as quickly as they go, and then slowly, so that there is a middle.
            let slow = declared.merging(["MAX_EVENTS_PER_MIN": "1200"]) { $1 }
            let first = try deployment.start("ingest", [folder, "--source", "notes"], environment: slow)
            let state = deployment.dataFolder + "/ingest/notes/files.jsonl"
            try deployment.wait(for: "a part to be acknowledged") {
                guard let bytes = try? File.contents(of: state) else { return false }
                return bytes.split(separator: 0x0A).dropFirst().contains { line in
                    (try? JSONValue.parse(Array(line)))?["offset"]?.integer ?? 0 > 0
                }
            }
            try first.kill9()
            deployment.forget(first)
            let rest = try deployment.refusal(["ingest", folder, "--source", "notes", "--json"], environment: declared)
            #expect(rest.contains(#""complete":true"#) && rest.contains(#""left_out":{"not_utf_8":1}"#), "\(rest)")
            try Folder.remove(folder + "/d.txt")
            let last = try deployment.command(["ingest", folder, "--source", "notes"], environment: declared)
            #expect(last.contains("nothing new: all 3 files were sent before"), "\(last)")

            // A source that stands still takes nothing, and says by whom and why.
            _ = try deployment.command(
                ["sources", "pause", "shelf", "--reason", "it is moved"], environment: declared)
            let paused = try deployment.refusal(["ingest", folder, "--source", "shelf"], environment: declared)
            #expect(paused.contains("shelf was paused by ") && paused.contains("it is moved"), "\(paused)")
            let log = try deployment.command(["sources", "log", "--json"], environment: declared)
            let line = try #require(log.split(separator: "\n").first { $0.hasPrefix("{\"request\"") }, "\(log)")
            let asked = try JSONValue.parse(Array(line.utf8))
            #expect(asked["request"]?["source"]?.string == "shelf" && asked["outcome"]?.string != nil, "\(log)")
            #expect(asked["request"]?["reason"]?.string == "it is moved" && asked["request"]?["by"]?.string != "")
            #expect(
                try deployment.refusal(["sources", "log", "--reason", "x"], environment: declared).contains("--reason"))
            _ = try deployment.command(["sources", "resume", "shelf"], environment: declared)
            _ = try deployment.command(
                ["ingest", deployment.file("extra.jsonl"), "--source", "shelf"], environment: declared)

            // What comes by a pipe is known again, too.
            let pipe = #"printf '{"id":"p1","text":"a percolator"}\n' | medallion ingest - --source notes"#
            let piped = try deployment.shell(
                "export SOURCES_FILE='\(deployment.file("declared.json"))'\n\(pipe)\n\(pipe) | grep 'nothing new'",
                in: folder, name: "piped")
            #expect(try piped.awaitEnd(seconds: 120).isSuccess, "\(piped.output)")
            let late = try deployment.shell(
                "export SOURCES_FILE='\(deployment.file("declared.json"))'\n\(Self.lateRow)", in: folder, name: "late")
            #expect(try late.awaitEnd(seconds: 120).isSuccess, "\(late.output)")

            // Each document is found once.
            try deployment.wait(for: "all documents") {
                let page = try deployment.api.get("/collections")["collections"]?.array?.first {
                    $0["name"]?.string == "notes"
                }
                return page?["documents"]?.integer == 1_504
            }
            for words in [0, 150, 1_499].map(word) {
                #expect(try deployment.api.search(words, mode: "lexical").count == 1)
            }
            #expect(try deployment.api.search("thermos", mode: "lexical") == ["k1"])
            #expect(try deployment.api.search("porcelain", mode: "lexical") == ["b.md"])
            #expect(try deployment.api.search("brass", mode: "lexical") == ["c.html"])
        }
    }
}
