import Glibc

/// The account of the machine that runs a command: who asked, for those who look later.
enum MachineAccount {
    /// Its name; its number where it has none.
    static var name: String {
        guard let entry = getpwuid(getuid()), let name = entry.pointee.pw_name else { return "uid \(getuid())" }
        return String(cString: name)
    }
}
