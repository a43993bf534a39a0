//! 512 bits that stand for a vector: the more of them two vectors share, the smaller the angle between
//! them.
//!
//! Each bit says on which side of a plane through the origin the vector lies. The planes are those of a
//! fixed rotation that looks random: three rounds of changing signs and a Walsh-Hadamard transform. So no
//! property of the vectors (all positive, few numbers large) makes bits useless, and it costs n log n.

/// 64-bit words of a sketch.
pub const SKETCH_WORDS: usize = 8;

/// A sketch.
pub type Sketch = [u64; SKETCH_WORDS];

const BITS: usize = SKETCH_WORDS * 64;
/// With two rounds, vectors with one large number still have few different sketches.
const ROUNDS: u64 = 3;

/// The sketch of a vector of finite numbers. Part of stored data: it must never change.
#[must_use]
pub fn sketch(values: &[f32]) -> Sketch {
    let len = values.len().next_power_of_two().max(BITS);
    // Within -1 and 1, so that no sum overflows.
    let largest = values
        .iter()
        .fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let mut rotated: Vec<f32> = values.iter().map(|value| value / largest).collect();
    rotated.resize(len, 0.0);
    for round in 0..ROUNDS {
        change_signs(&mut rotated, round);
        transform(&mut rotated);
    }
    let mut bits = [0; SKETCH_WORDS];
    for (word, numbers) in bits.iter_mut().zip(rotated.chunks(64)) {
        for (n, number) in numbers.iter().enumerate() {
            *word |= u64::from(*number > 0.0) << n;
        }
    }
    bits
}

/// How many bits differ, 0 to 512.
#[must_use]
pub fn distance(one: &Sketch, other: &Sketch) -> u32 {
    one.iter()
        .zip(other)
        .map(|(one, other)| (one ^ other).count_ones())
        .sum()
}

fn change_signs(values: &mut [f32], round: u64) {
    for (n, some) in (0_u64..).zip(values.chunks_mut(64)) {
        let bits = mix((round << 32) | n);
        for (n, value) in some.iter_mut().enumerate() {
            if bits >> n & 1 == 1 {
                *value = -*value;
            }
        }
    }
}

/// A bijection of 64-bit numbers that looks random (the finalizer of SplitMix64).
const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Walsh-Hadamard transform in place, scaled to keep lengths; the length is a power of two.
fn transform(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (one, other) in left.iter_mut().zip(right) {
                (*one, *other) = (*one + *other, *one - *other);
            }
        }
        half *= 2;
    }
    // At most 4,096 or so, far below where doubles begin to round.
    #[expect(clippy::cast_precision_loss, reason = "a small power of two")]
    let scale = (values.len() as f32).sqrt().recip();
    values.iter_mut().for_each(|value| *value *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors that differ from the first one by these angles, in degrees.
    fn turned(angles: &[f32], dimensions: usize) -> Vec<Vec<f32>> {
        let turn = |angle: &f32| {
            let mut vector = vec![0.0; dimensions];
            vector[0] = angle.to_radians().cos();
            vector[1] = angle.to_radians().sin();
            vector
        };
        angles.iter().map(turn).collect()
    }

    #[test]
    fn the_share_of_different_bits_is_the_angle() {
        for dimensions in [2, 3, 128, 384, 512, 1_000] {
            let vectors = turned(&[0.0, 10.0, 45.0, 90.0, 180.0], dimensions);
            let first = sketch(&vectors[0]);
            for (vector, expected) in vectors.iter().zip([0, 28, 128, 256, 512]) {
                let found = distance(&first, &sketch(vector));
                assert!(
                    found.abs_diff(expected) <= 50,
                    "{dimensions}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn length_does_not_count() {
        let vector: Vec<f32> = (1..=384).map(|n| (n as f32).sin()).collect();
        let longer: Vec<f32> = vector.iter().map(|value| value * 1e30).collect();
        assert_eq!(sketch(&vector), sketch(&longer));
    }

    #[test]
    fn a_stored_sketch_still_means_the_same() {
        let vector: Vec<f32> = (0..16_u8).map(|n| f32::from(n) - 7.5).collect();
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(sketch(&vector)[0], 3_775_060_703_110_654_789);
    }
}
