package import ObjectStorage

/// The bucket that sealed files may move to.
package struct LakeObjects: Sendable {
    package let storage: ObjectStorage
    /// Before every key; empty, or ends in a slash.
    package let prefix: String

    package init(storage: ObjectStorage, prefix: String) {
        self.storage = storage
        self.prefix = prefix.isEmpty || prefix.hasSuffix("/") ? prefix : prefix + "/"
    }

    /// The key of a sealed file: its path below the lake's root, so that tools find the same folders.
    package func key(of name: DataFileName, in layout: LakeLayout) -> String {
        key(of: layout.dataFile(name), in: layout)
    }

    /// The key of a file's copy, by its path.
    func key(of path: String, in layout: LakeLayout) -> String {
        prefix + path.dropFirst(layout.root.count + 1)
    }
}
