import Files
package import Lake
import ObjectStorage
package import Settings

/// Settings of the object storage that cannot be used: which, and why.
package struct LakeSettingsError: Error, CustomStringConvertible {
    package let description: String
}

extension LakeObjects {
    private static let secretBytesMax = 4_096

    /// The object storage that the settings name; nil where they name none. Nothing is asked of it yet.
    ///
    /// - Parameter requestSeconds: how long one reading may take where somebody waits for it; nil for patience.
    /// - Throws: ``LakeSettingsError`` naming the variable.
    package static func named(
        by settings: Settings, requestSeconds: Double? = nil
    ) throws(LakeSettingsError) -> LakeObjects? {
        guard !settings.lake.s3Bucket.isEmpty else { return nil }
        guard !settings.lake.s3AccessKeyID.isEmpty else {
            throw LakeSettingsError(
                description: "LAKE_S3_BUCKET is set, but LAKE_S3_ACCESS_KEY_ID is not (AWS_ACCESS_KEY_ID is not read)")
        }
        let endpoint = settings.lake.s3Endpoint
        var configuration = ObjectStorageConfiguration(
            endpoint: endpoint.isEmpty ? "https://s3.\(settings.lake.s3Region).amazonaws.com" : endpoint,
            bucket: settings.lake.s3Bucket, region: settings.lake.s3Region, accessKeyID: settings.lake.s3AccessKeyID,
            secretAccessKey: try secret(settings))
        if let requestSeconds {
            configuration.attemptsMax = 2
            configuration.timeoutMilliseconds = max(1, Int(requestSeconds * 1_000) / configuration.attemptsMax)
        }
        return LakeObjects(storage: ObjectStorage(configuration), prefix: settings.lake.s3Prefix)
    }

    private static func secret(_ settings: Settings) throws(LakeSettingsError) -> String {
        let path = settings.lake.s3SecretAccessKeyFile
        guard path.isEmpty != settings.lake.s3SecretAccessKey.isEmpty else {
            throw LakeSettingsError(
                description: "LAKE_S3_BUCKET is set; set either LAKE_S3_SECRET_ACCESS_KEY or "
                    + "LAKE_S3_SECRET_ACCESS_KEY_FILE, too")
        }
        if path.isEmpty { return settings.lake.s3SecretAccessKey }
        let bytes: [UInt8]
        do throws(FileError) { bytes = try File.contents(of: path, bytesMax: secretBytesMax) } catch {
            throw LakeSettingsError(description: "LAKE_S3_SECRET_ACCESS_KEY_FILE: \(error)")
        }
        let word = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first
        guard let word else {
            throw LakeSettingsError(description: "LAKE_S3_SECRET_ACCESS_KEY_FILE: \(path) is empty")
        }
        return String(word)
    }
}

extension LakeLayout {
    /// The lake that the settings name, with its object storage.
    ///
    /// - Throws: ``LakeSettingsError`` naming the variable.
    package init(_ settings: Settings) throws(LakeSettingsError) {
        self.init(root: settings.folders.lake, objects: try .named(by: settings))
    }
}
