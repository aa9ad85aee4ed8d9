import Bytes

/// How many answers are kept, how large and for how long.
package struct AnswerBounds: Sendable, Equatable {
    /// Answers at once (`ANSWERS_MAX_ROWS`); 0 for any number.
    package var rowsMax: Int64
    /// Their bytes before compression, together (`ANSWERS_MAX_BYTES`); 0 for any number.
    package var bytesMax: Int64
    /// How long each is kept, in milliseconds (`ANSWER_RETENTION_DAYS`); 0 for ever.
    package var retentionMilliseconds: Int64

    /// Memberwise.
    package init(rowsMax: Int64 = 0, bytesMax: Int64 = 0, retentionMilliseconds: Int64 = 0) {
        self.rowsMax = rowsMax
        self.bytesMax = bytesMax
        self.retentionMilliseconds = retentionMilliseconds
    }

    /// One answer takes so many bytes at most.
    package static let answerBytesMax = 65_536
    /// Removing makes room for this share of the bounds, so that it is not due again with the next answer.
    private static let shareFreed: Int64 = 16
    /// After this share of the bounds was added, it is time to look again.
    private static let shareUnseen: Int64 = 256
    /// What may still be added when removing begins. So the bounds hold with four processes, of which each adds as much as it may
    /// between two looks.
    private static let shareAhead: Int64 = 64

    /// Whether there is any bound but that in time.
    package var areInSize: Bool { rowsMax > 0 || bytesMax > 0 }
    /// What removing leaves.
    package var rowsLeft: Int64 { rowsMax > 0 ? rowsMax - rowsMax / Self.shareFreed : .max }
    /// What removing leaves.
    package var bytesLeft: Int64 { bytesMax > 0 ? bytesMax - bytesMax / Self.shareFreed : .max }

    /// With more, removing is due.
    package var rowsUntilDue: Int64 { rowsMax > 0 ? rowsMax - rowsMax / Self.shareAhead : .max }
    /// With more, removing is due.
    package var bytesUntilDue: Int64 { bytesMax > 0 ? bytesMax - bytesMax / Self.shareAhead : .max }

    /// Whether so much was added since the last look that another one is due.
    package func isLookDue(rowsAdded: Int64, bytesAdded: Int64) -> Bool {
        (rowsMax > 0 && rowsAdded >= min(1_024, max(1, rowsMax / Self.shareUnseen)))
            || (bytesMax > 0 && bytesAdded >= max(1, bytesMax / Self.shareUnseen))
    }
}

extension StoredAnswer {
    /// What counts against the bounds.
    package var bytes: Int {
        question.utf8.count + requestJSON.count + replyJSON.count + retrievedJSON.count + (basisJSON?.count ?? 0)
    }

    /// The same within ``AnswerBounds/answerBytesMax``: where it is larger, first the retrieved passages and the statistics of
    /// words, then the request and at last the reply give way to a note of how large they were.
    package func bounded(bytesMax: Int = AnswerBounds.answerBytesMax) -> StoredAnswer {
        var answer = self
        if answer.bytes > bytesMax { answer.retrievedJSON = Array("[]".utf8) }
        if answer.bytes > bytesMax { answer.basisJSON = nil }
        if answer.bytes > bytesMax { answer.requestJSON = Self.note(of: requestJSON, id: nil) }
        if answer.bytes > bytesMax, question.utf8.count > 4_096 {
            var scalars = question.unicodeScalars.prefix(4_096)
            while String(scalars).utf8.count > 4_096 { scalars = scalars.dropLast(max(1, scalars.count / 8)) }
            answer.question = String(scalars)
        }
        if answer.bytes > bytesMax { answer.replyJSON = Self.note(of: replyJSON, id: id) }
        return answer
    }

    private static func note(of json: [UInt8], id: String?) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        if let id {
            writer.key("answer_id")
            writer.string(id)
        }
        writer.key("left_out_bytes")
        writer.integer(json.count)
        writer.endObject()
        return writer.bytes
    }
}
