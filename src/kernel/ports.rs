//! How many ports of a range connections can count on.
//!
//! **Invariant:** what `plimsoll doctor` promises and what `plimsoll load` refuses come from this one number.

/// Of a hundred ports this many are counted on: others' connections and listeners have some.
pub const USABLE_PERCENT: u64 = 98;

/// The ports of a range of this size that can be counted on.
pub fn usable(size: u64) -> u64 {
    // In two parts, so that no size is too large.
    size / 100 * USABLE_PERCENT + size % 100 * USABLE_PERCENT / 100
}

/// The smallest range with this many ports that can be counted on.
pub fn size_for(usable: u64) -> u64 {
    usable.saturating_mul(100).div_ceil(USABLE_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_as_small_as_its_usable_ports_allow() {
        assert_eq!(usable(28_232), 27_667);
        assert_eq!(usable(u64::MAX), u64::MAX / 100 * 98 + 14);
        for wanted in [0, 1, 49, 98, 99, 27_667, 27_668, 54_425] {
            let size = size_for(wanted);
            assert!(usable(size) >= wanted, "{wanted} of {size}");
            assert!(size == 0 || usable(size - 1) < wanted, "{wanted} of {size}");
        }
    }
}
