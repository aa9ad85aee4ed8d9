import Audit
import Indexer
import Replay

/// A replay's documents, and what an audit repairs, go into the index by the indexer's own parts, so that both embed alike; neither service knows the
/// other.
extension DocumentIndexer: ReplayIndex, RebuildIndex, AuditIndex {}
