//! The table that everything ends in.

/// What a benchmark has to reach.
#[derive(Clone, Copy)]
pub enum Target {
    /// The first figure divided by the second.
    AtLeast(f64),
    /// The first figure divided by the second.
    AtMost(f64),
    /// The first figure itself.
    Below(f64),
    /// Nothing; it is told beside the others.
    Told,
}

pub struct Row {
    pub what: String,
    pub unit: &'static str,
    /// Of each round: ours and, where there is one, what it is held against.
    pub rounds: Vec<(f64, Option<f64>)>,
    pub target: Target,
}

impl Row {
    pub fn new(what: impl Into<String>, unit: &'static str, target: Target) -> Row {
        Row { what: what.into(), unit, rounds: Vec::new(), target }
    }

    pub fn add(&mut self, ours: f64, theirs: f64) {
        self.rounds.push((ours, Some(theirs)));
        eprintln!("  {}: {} against {} {}", self.what, figure(ours), figure(theirs), self.unit);
    }

    pub fn add_alone(&mut self, ours: f64) {
        self.rounds.push((ours, None));
        eprintln!("  {}: {} {}", self.what, figure(ours), self.unit);
    }
}

pub fn print(rows: &[Row]) {
    println!("\n| what | unit | Bugle | against | ratio | target | |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | --- |");
    for row in rows {
        let ours = median(row.rounds.iter().map(|(ours, _)| *ours));
        let theirs = row.rounds.iter().map(|(_, theirs)| *theirs).collect::<Option<Vec<f64>>>().map(median);
        let ratio = theirs.map(|theirs| ours / theirs);
        let verdict = |met: bool| if met { "met" } else { "**missed**" };
        let (target, verdict) = match row.target {
            Target::AtLeast(least) => (format!(">= {least}"), verdict(ratio.is_some_and(|ratio| least <= ratio))),
            Target::AtMost(most) => (format!("<= {most}"), verdict(ratio.is_some_and(|ratio| ratio <= most))),
            Target::Below(most) => (format!("< {most} {}", row.unit), verdict(ours < most)),
            Target::Told => (String::new(), ""),
        };
        let (theirs, ratio) = (theirs.map(figure), ratio.map(|ratio| format!("{ratio:.2}")));
        println!(
            "| {} | {} | {} | {} | {} | {target} | {verdict} |",
            row.what,
            row.unit,
            figure(ours),
            theirs.unwrap_or_default(),
            ratio.unwrap_or_default(),
        );
    }
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

pub fn percentile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

fn figure(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
