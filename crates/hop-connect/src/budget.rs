//! How often a host may be logged in to: below what sites ban for.
//!
//! Must stay true: every attempt counts, whoever wanted it; the time when the next one is allowed can be said.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// Attempts within a window of time.
#[derive(Clone, Debug)]
pub struct LoginBudget {
    most: usize,
    window: Duration,
    attempts: VecDeque<SystemTime>,
}

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{made} logins were tried within {} minutes, and more could get this machine banned there", .window.as_secs() / 60)]
pub struct BudgetSpent {
    /// How many.
    pub made: usize,
    /// Within what time.
    pub window: Duration,
    /// When the next one is allowed.
    pub until: SystemTime,
}

impl LoginBudget {
    /// So many attempts within this time.
    #[must_use]
    pub fn new(most: usize, window: Duration) -> Self {
        Self { most, window, attempts: VecDeque::new() }
    }

    /// Takes one attempt.
    ///
    /// # Errors
    /// When there is none left.
    pub fn take(&mut self, now: SystemTime) -> Result<(), BudgetSpent> {
        // A clock that was set back must not lock anybody out.
        let is_recent = |at: &SystemTime| now.duration_since(*at).is_ok_and(|age| age < self.window);
        self.attempts.retain(is_recent);
        match self.attempts.front() {
            Some(first) if self.attempts.len() >= self.most => Err(BudgetSpent {
                made: self.attempts.len(),
                window: self.window,
                until: *first + self.window,
            }),
            _ => {
                self.attempts.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_and_earned_back() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut budget = LoginBudget::new(3, Duration::from_secs(600));
        for second in [0, 10, 20] {
            assert_eq!(budget.take(at(second)), Ok(()));
        }
        let spent = budget.take(at(30)).unwrap_err();
        assert_eq!((spent.made, spent.until), (3, at(600)));
        assert!(spent.to_string().starts_with("3 logins were tried within 10 minutes"));
        assert_eq!(budget.take(at(601)), Ok(()));
        assert!(budget.take(at(602)).is_err());
        assert_eq!(budget.take(at(0) - Duration::from_secs(86_400)), Ok(()), "the clock was set back");
    }
}
