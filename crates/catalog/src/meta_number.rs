//! Comparing integers with fractions without rounding either.
//!
//! A 64-bit integer has no exact double above 2^53, so the databases must never be asked to compare the
//! two. The bound is moved to the column's own type instead: for integers, `n > 1.5` is `n > 1`.

use sea_query::{Expr, ExprTrait as _};

/// The comparisons that filters have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Comparison {
    pub(crate) fn of(self, column: Expr, value: impl Into<Expr>) -> Expr {
        let value = value.into();
        match self {
            Self::Eq => column.eq(value),
            Self::Gt => column.gt(value),
            Self::Gte => column.gte(value),
            Self::Lt => column.lt(value),
            Self::Lte => column.lte(value),
        }
    }

    /// The same in memory.
    pub(crate) fn holds<T: PartialOrd + ?Sized>(self, one: &T, other: &T) -> bool {
        match self {
            Self::Eq => one == other,
            Self::Gt => one > other,
            Self::Gte => one >= other,
            Self::Lt => one < other,
            Self::Lte => one <= other,
        }
    }
}

/// The same test with a bound of the column's own type, or an answer that holds for every value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound<T> {
    Test(Comparison, T),
    Always,
    Never,
}

/// 2^63: the first double above every `i64`. Its negative is `i64::MIN`.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// Tests an integer column against a double, which is not NaN.
pub(crate) fn integer_bound(comparison: Comparison, value: f64) -> Bound<i64> {
    let rounded = match comparison {
        Comparison::Gt | Comparison::Lte => value.floor(),
        Comparison::Gte | Comparison::Lt => value.ceil(),
        Comparison::Eq if value.fract() != 0.0 => return Bound::Never,
        Comparison::Eq => value,
    };
    let is_above = rounded >= I64_END;
    let is_below = rounded < -I64_END;
    match comparison {
        Comparison::Eq if is_above || is_below => Bound::Never,
        Comparison::Gt | Comparison::Gte if is_above => Bound::Never,
        Comparison::Gt | Comparison::Gte if is_below => Bound::Always,
        Comparison::Lt | Comparison::Lte if is_above => Bound::Always,
        Comparison::Lt | Comparison::Lte if is_below => Bound::Never,
        _ => Bound::Test(comparison, exact_integer(rounded)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the caller has checked that it is whole and in range"
)]
const fn exact_integer(whole: f64) -> i64 {
    whole as i64
}

/// Tests a column of doubles against an integer.
pub(crate) fn double_bound(comparison: Comparison, value: i64) -> Bound<f64> {
    #[expect(clippy::cast_precision_loss, reason = "the loss is looked at below")]
    let nearest = value as f64;
    // In 128 bits the nearest double is exact again, 2^63 included.
    #[expect(clippy::cast_possible_truncation, reason = "at most 2^63")]
    let error = nearest as i128 - i128::from(value);
    if error == 0 {
        return Bound::Test(comparison, nearest);
    }
    let (below, above) = if error > 0 {
        (nearest.next_down(), nearest)
    } else {
        (nearest, nearest.next_up())
    };
    match comparison {
        Comparison::Eq => Bound::Never,
        Comparison::Gt | Comparison::Gte => Bound::Test(Comparison::Gte, above),
        Comparison::Lt | Comparison::Lte => Bound::Test(Comparison::Lte, below),
    }
}

#[cfg(test)]
mod tests {
    use super::Comparison::{Eq, Gt, Gte, Lt, Lte};
    use super::*;

    #[test]
    fn fractions_move_to_the_next_integer() {
        assert_eq!(integer_bound(Gt, 1.5), Bound::Test(Gt, 1));
        assert_eq!(integer_bound(Gte, 1.5), Bound::Test(Gte, 2));
        assert_eq!(integer_bound(Lt, -1.5), Bound::Test(Lt, -1));
        assert_eq!(integer_bound(Lte, -1.5), Bound::Test(Lte, -2));
        assert_eq!(integer_bound(Eq, 1.5), Bound::Never);
        assert_eq!(integer_bound(Eq, -0.0), Bound::Test(Eq, 0));
    }

    #[test]
    fn bounds_beyond_all_integers_answer_at_once() {
        for value in [I64_END, 1e300, f64::INFINITY] {
            assert_eq!(integer_bound(Lt, value), Bound::Always);
            assert_eq!(integer_bound(Gte, value), Bound::Never);
            assert_eq!(integer_bound(Eq, value), Bound::Never);
        }
        assert_eq!(integer_bound(Gt, f64::NEG_INFINITY), Bound::Always);
        assert_eq!(integer_bound(Gte, -I64_END), Bound::Test(Gte, i64::MIN));
        assert_eq!(integer_bound(Lte, -1e19), Bound::Never);
    }

    #[test]
    fn integers_without_a_double_lie_between_two() {
        const ODD: i64 = (1 << 53) + 1;
        assert_eq!(double_bound(Eq, ODD), Bound::Never);
        assert_eq!(
            double_bound(Gt, ODD),
            Bound::Test(Gte, 9_007_199_254_740_994.0)
        );
        assert_eq!(
            double_bound(Lte, ODD),
            Bound::Test(Lte, 9_007_199_254_740_992.0)
        );
        assert_eq!(
            double_bound(Lt, i64::MAX),
            Bound::Test(Lte, I64_END.next_down())
        );
        assert_eq!(double_bound(Gte, i64::MAX), Bound::Test(Gte, I64_END));
        assert_eq!(double_bound(Gte, i64::MIN), Bound::Test(Gte, -I64_END));
        assert_eq!(double_bound(Eq, 5), Bound::Test(Eq, 5.0));
    }
}
