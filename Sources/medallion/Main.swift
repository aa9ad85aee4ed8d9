@main
struct Medallion {
    static func main() {}
}
