/// The `count`th largest of some numbers, in time that grows with how many there are (Hoare: "Algorithm 65: Find", 1961);
/// nil where there are fewer.
func largest<Number: Comparable>(_ count: Int, of numbers: consuming [Number]) -> Number? {
    guard count > 0, count <= numbers.count else { return nil }
    var numbers = numbers
    return numbers.withUnsafeMutableBufferPointer { numbers in
        var (low, high) = (0, numbers.count - 1)
        let wanted = count - 1
        while low < high {
            // The middle one of three: sorted input takes no longer.
            let middle = (low + high) / 2
            if numbers[middle] > numbers[low] { numbers.swapAt(middle, low) }
            if numbers[high] > numbers[low] { numbers.swapAt(high, low) }
            if numbers[high] > numbers[middle] { numbers.swapAt(high, middle) }
            let pivot = numbers[middle]
            var (left, right) = (low, high)
            while left <= right {
                while numbers[left] > pivot { left += 1 }
                while numbers[right] < pivot { right -= 1 }
                guard left <= right else { break }
                numbers.swapAt(left, right)
                left += 1
                right -= 1
            }
            if wanted <= right { high = right } else if wanted >= left { low = left } else { break }
        }
        return numbers[wanted]
    }
}
