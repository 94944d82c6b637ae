//! How calls at the same time share the machine's time: equally, moment by moment.

use std::time::Duration;

use parkway_core::id::Time;

/// The share of each of these spans, in their order. Together they are as long as the time in which there was any.
pub(super) fn shares(spans: &[(Time, Time)]) -> Vec<Duration> {
    let begins = spans.iter().enumerate().map(|(index, span)| (span.0, false, index));
    let ends = spans.iter().enumerate().map(|(index, span)| (span.1.max(span.0), true, index));
    let mut moments: Vec<_> = begins.chain(ends).collect();
    moments.sort_unstable();
    let mut shares = vec![0.0; spans.len()];
    // What a call has that was there from the first moment on.
    let mut so_far = 0.0;
    let (mut under_way, mut last) = (0_u32, Time::default());
    for (moment, ends, index) in moments {
        if under_way > 0 {
            so_far += moment.since(last).as_secs_f64() / f64::from(under_way);
        }
        last = moment;
        if ends {
            under_way -= 1;
            shares[index] += so_far;
        } else {
            under_way += 1;
            shares[index] -= so_far;
        }
    }
    shares.into_iter().map(|seconds: f64| Duration::from_micros(micros(seconds))).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time is positive, and shorter than an age"
)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spans: &[(i64, i64)], expected: &[u64]) {
        let spans: Vec<_> = spans.iter().map(|(a, b)| (Time::from_micros(*a), Time::from_micros(*b))).collect();
        let found: Vec<_> = shares(&spans).iter().map(Duration::as_micros).collect();
        assert_eq!(found, expected.iter().map(|n| u128::from(*n)).collect::<Vec<_>>());
    }

    #[test]
    fn calls_at_the_same_time_are_paid_for_twice() {
        check(&[(0, 100)], &[100]);
        check(&[(0, 100), (0, 100)], &[50, 50]);
        check(&[(0, 100), (50, 150)], &[75, 75]);
        check(&[(0, 90), (0, 30), (0, 60)], &[10 + 15 + 30, 10, 25]);
    }

    #[test]
    fn time_in_which_nothing_is_computed_is_paid_for() {
        check(&[(0, 10), (1_000, 1_010)], &[10, 10]);
        check(&[(5, 5), (0, 10)], &[0, 10]);
        // A clock that was set back.
        check(&[(10, 5)], &[0]);
        check(&[], &[]);
    }
}
