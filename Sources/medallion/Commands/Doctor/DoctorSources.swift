import Ingest
import Logic
import Settings
import Sources

/// What `doctor` says of the declared sources: whether what each reads could be read now.
enum DoctorSources {
    static func check(_ settings: Settings) -> DoctorResult {
        let declared: DeclaredSources
        do { declared = try DeclaredSources.read(settings) } catch {
            return DoctorResult("sources", .failed, "\(error)", hint: "`medallion sources check` names every fault")
        }
        var details: [String] = []
        for source in declared.sources {
            if let fault = source.connector.members?.look().first {
                return DoctorResult("sources", .failed, "\(source.name): \(fault)", hint: "see docs/sources.md")
            }
            guard case .postgres(let table) = source.connector else { continue }
            var idPath: String?
            if case .document(let settings) = source.logic { idPath = settings.mapping.id.text }
            do {
                details.append("\(source.name): \(try PostgresSourceCheck.examine(table, idPath: idPath))")
            } catch {
                return DoctorResult(
                    "sources", .failed, "\(source.name): \(error)", hint: "see docs/sources.md, A table of Postgres")
            }
        }
        let count = declared.sources.count
        return DoctorResult(
            "sources", .ok, (["\(count) source\(count == 1 ? "" : "s") declared"] + details).joined(separator: "; "))
    }
}
