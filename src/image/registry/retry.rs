// SPDX-License-Identifier: Apache-2.0
//! When to ask again: exponential back-off with full jitter, and a registry's
//! own word (`Retry-After`, RFC 9110 section 10.2.3) up to a limit.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::image::error::{Error, Result};

/// How often, and for how long, what failed for a moment is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Attempts in a row that may fail.
    pub attempts: u32,
    /// The most to wait before the second attempt; doubled for each after it.
    pub base: Duration,
    /// The most to wait before any attempt.
    pub most: Duration,
    /// The most to wait for in all, and the longest `Retry-After` obeyed.
    pub patience: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(500),
            most: Duration::from_secs(10),
            patience: Duration::from_secs(60),
        }
    }
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No: the answer would be the same.
    No,
    /// Perhaps, but it is more likely a mistake in a name: few attempts.
    Briefly,
    /// Yes.
    Soon,
    /// Yes, but not earlier.
    After(Duration),
}

/// An attempt that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// What to do about it.
    pub again: Again,
}

impl Failed {
    /// For good.
    pub fn finally(error: Error) -> Self {
        Self { error, again: Again::No }
    }

    /// For now.
    pub fn for_now(error: Error) -> Self {
        Self { error, again: Again::Soon }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::finally(error)
    }
}

/// Attempts of [`Again::Briefly`].
const BRIEFLY: u32 = 3;

/// Counts the failures of one piece of work.
pub struct Backoff {
    policy: Retries,
    failures: u32,
    waited: Duration,
}

impl Backoff {
    /// Nothing failed yet.
    pub fn new(policy: Retries) -> Self {
        Self { policy, failures: 0, waited: Duration::ZERO }
    }

    /// Some of the work is done: what failed before no longer counts.
    pub fn progress(&mut self) {
        (self.failures, self.waited) = (0, Duration::ZERO);
    }

    /// Waits until it is time for another attempt, or returns the error if there
    /// is to be none.
    pub async fn wait(&mut self, failed: Failed) -> Result<()> {
        self.failures += 1;
        let delay = match self.delay(failed.again) {
            Some(delay) if self.waited + delay <= self.policy.patience => delay,
            _ => return Err(failed.error),
        };
        tracing::info!("{}; trying again in {} ms", failed.error, delay.as_millis());
        self.waited += delay;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn delay(&self, again: Again) -> Option<Duration> {
        let attempts = match again {
            Again::No => return None,
            Again::Briefly => self.policy.attempts.min(BRIEFLY),
            Again::Soon | Again::After(_) => self.policy.attempts,
        };
        if self.failures >= attempts {
            return None;
        }
        let doublings = (self.failures - 1).min(16);
        let jittered =
            jitter(self.policy.base.saturating_mul(1 << doublings).min(self.policy.most));
        Some(match again {
            // Everybody was told the same moment: not all are to come at once.
            Again::After(after) => after + jittered.min(after / 10),
            _ => jittered,
        })
    }
}

/// Anything from nothing to `most`.
fn jitter(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// How long an answer asks to wait, in seconds or until a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(again: Again) -> Failed {
        Failed { error: Error::Timeout("r".into()), again }
    }

    fn quick() -> Retries {
        Retries { base: Duration::from_micros(1), ..Retries::default() }
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_progress_begins_anew() {
        let mut backoff = Backoff::new(quick());
        for _ in 0..4 {
            backoff.wait(failed(Again::Soon)).await.unwrap();
        }
        assert!(backoff.wait(failed(Again::Soon)).await.is_err());
        backoff.progress();
        backoff.wait(failed(Again::Soon)).await.unwrap();
        backoff.wait(failed(Again::Briefly)).await.unwrap();
        assert!(backoff.wait(failed(Again::Briefly)).await.is_err());
        assert!(Backoff::new(quick()).wait(failed(Again::No)).await.is_err());
    }

    #[tokio::test]
    async fn a_longer_wait_than_our_patience_is_an_error_at_once() {
        let mut backoff = Backoff::new(quick());
        assert!(backoff.wait(failed(Again::After(Duration::from_secs(61)))).await.is_err());
        let mut backoff = Backoff::new(quick());
        backoff.wait(failed(Again::After(Duration::from_millis(2)))).await.unwrap();
    }

    #[test]
    fn delays_double_up_to_the_most() {
        let mut backoff = Backoff::new(Retries { attempts: 40, ..Retries::default() });
        for failures in 1..40 {
            backoff.failures = failures;
            let delay = backoff.delay(Again::Soon).unwrap();
            assert!(delay <= Duration::from_millis(500) * 2_u32.pow((failures - 1).min(10)));
            assert!(delay <= Duration::from_secs(10));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let told = |value: &str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]))
        };
        assert_eq!(told("30"), Some(Duration::from_secs(30)));
        assert_eq!(told("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        assert!((85..=90).contains(&told(&soon).unwrap().as_secs()));
        assert_eq!((told("soon"), told("-1"), told("99999999999")), (None, None, None));
    }
}
