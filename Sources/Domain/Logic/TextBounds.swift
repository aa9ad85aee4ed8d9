/// How long the texts of a change may be, in bytes of UTF-8; from ``TransformSettings/CodeVersion/third`` on.
///
/// What the rules let pass has to fit everything that holds it later, so each bound lies below the narrowest receiver:
/// Postgres' index rows of 2,704 bytes for ids and names, the 255 characters of an id in `/trace` and of a filter, the
/// 1 MiB of a `tsvector` for title and text, and the record of 1,048,588 bytes that a broker takes by default, in which a
/// redriven document's id stands four times. The text of a document has a bound of its own
/// (``TransformSettings/contentCharactersMax``).
package enum TextBounds {
    /// Of an event's id, and of the names of wiki, domain and type.
    package static let nameBytesMax = 255
    /// Of a title and of a user's name.
    package static let titleBytesMax = 1_024
    /// Of a page's address.
    package static let addressBytesMax = 4_096
    /// Of a comment, of which the document's text takes what it has room for.
    package static let commentBytesMax = 65_536

    /// - Throws: the first rule that a text breaks, with the field and its bound.
    static func check(_ change: RecentChange) throws(Rejection) {
        try check(change.eventID, .id, nameBytesMax)
        // Postgres' text cannot hold it, and two ids must not become one by leaving it out.
        guard !change.eventID.contains(0) else { throw Rejection(.nullCharacter, RecentChangeField.id.path) }
        try check(change.wiki, .wiki, nameBytesMax)
        try check(change.domain, .domain, nameBytesMax)
        try check(change.type, .type, nameBytesMax)
        try check(change.title, .title, titleBytesMax)
        try check(change.user, .user, titleBytesMax)
        try check(change.pageURL, .uri, addressBytesMax)
        try check(change.comment, .comment, commentBytesMax)
    }

    @inline(__always)
    private static func check(
        _ text: UnsafeBufferPointer<UInt8>, _ field: RecentChangeField, _ bytesMax: Int
    ) throws(Rejection) {
        guard text.count <= bytesMax else {
            throw Rejection(.textTooLong, "\(field.path): \(text.count) bytes, at most \(bytesMax)")
        }
    }
}
