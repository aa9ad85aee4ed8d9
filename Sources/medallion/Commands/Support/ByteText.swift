extension Rendering {
    /// Bytes in the decimal unit that leaves one to three digits before the point, such as `12.3 MB`.
    static func bytes(_ count: Int) -> String {
        var value = Double(count)
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 1_000 { return unit == "B" ? "\(count) B" : "\(Double(Int(value * 10)) / 10) \(unit)" }
            value /= 1_000
        }
        return "\(Double(Int(value * 10)) / 10) TB"
    }
}
