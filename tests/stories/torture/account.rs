//! What was tried, and what did not hold.

use std::io::Write;
use std::time::{Duration, Instant};

/// Violations told by name; all are counted.
const TOLD: usize = 8;

pub struct Account {
    fault: &'static str,
    began: Instant,
    pub tries: usize,
    violations: Vec<String>,
    slowest: Option<Duration>,
}

impl Account {
    pub fn of(fault: &'static str) -> Account {
        Account { fault, began: Instant::now(), tries: 0, violations: Vec::new(), slowest: None }
    }

    /// What has to hold; counted and told at the end if it does not.
    pub fn must(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.violations.push(what.into());
        }
    }

    /// How long a click took; the slowest is told.
    pub fn took(&mut self, took: Duration) {
        self.slowest = self.slowest.max(Some(took));
    }

    /// Writes the line of the table, and fails if anything did not hold.
    pub fn close(self) {
        let slowest = self.slowest.map(|it| format!("slowest answer {:.2} s", it.as_secs_f64())).unwrap_or_default();
        line(self.fault, &self.tries.to_string(), &self.violations.len().to_string(), &slowest);
        println!("  ({:.0} s)", self.began.elapsed().as_secs_f64());
        for violation in self.violations.iter().take(TOLD) {
            println!("    {violation}");
        }
        assert!(0 < self.tries, "{}: nothing was tried", self.fault);
        assert!(self.violations.is_empty(), "{}: {} violations, see above", self.fault, self.violations.len());
    }
}

/// A fault that this machine does not allow to be tried.
pub fn not_run(fault: &str, why: &str) {
    line(fault, "-", "-", &format!("NOT RUN: {why}"));
}

fn line(fault: &str, tries: &str, violations: &str, remark: &str) {
    let line = format!("{fault:<58} {tries:>6} {violations:>11}  {remark}");
    println!("\n{line}");
    if let Some(table) = std::env::var_os("TORTURE_TABLE") {
        let mut table = std::fs::File::options().create(true).append(true).open(table).unwrap();
        writeln!(table, "{}", line.trim_end()).unwrap();
    }
}
