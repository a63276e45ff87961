//! domain: A bot drawn as boxes in rows, each step below those that lead to it.

use std::collections::BTreeMap;

use super::steps::{Step, StepId, Steps};

const BOX: (f64, f64) = (176.0, 52.0);
/// Between boxes beside one another, and between rows.
const GAP: (f64, f64) = (20.0, 76.0);
/// What a way takes that passes a row.
const PASSING: f64 = 20.0;
/// Between ways that lead back up.
const LANE: f64 = 14.0;
const MARGIN: f64 = 12.0;
/// Characters that fit into a box in the widest font there may be, and beside a way.
const FITS: usize = 17;
const FITS_BESIDE: usize = 28;

#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Drawn>,
    pub ways: Vec<Way>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub id: StepId,
    /// What people call it, whole and as much as fits.
    pub name: String,
    pub short: String,
    pub does: &'static str,
    pub word: &'static str,
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The place of the step that it leaves.
    at: usize,
    pub from: String,
    pub to: String,
    /// When it is taken; empty for always.
    pub when: String,
    pub short: String,
    /// The line, as SVG has it.
    pub d: String,
    pub x: f64,
    pub y: f64,
}

fn short(text: &str, fits: usize) -> String {
    match text.chars().count() > fits {
        true => text.chars().take(fits - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// A box, or the place where a way passes a row.
struct Node {
    row: usize,
    step: Option<usize>,
    x: f64,
}

pub fn draw(steps: &Steps) -> Drawing {
    let leads = leads(steps);
    let (rows, back) = rows(steps.0.len(), &leads);
    let mut nodes: Vec<Node> =
        (0..steps.0.len()).map(|step| Node { row: rows[step], step: Some(step), x: 0.0 }).collect();
    // Each way down as the nodes that it goes through.
    let mut chains: Vec<(usize, usize, Vec<usize>)> = Vec::new();
    for (from, to) in leads.keys().copied().filter(|way| !back.contains(way)) {
        let mut chain = vec![from];
        for row in rows[from] + 1..rows[to] {
            chain.push(nodes.len());
            nodes.push(Node { row, step: None, x: 0.0 });
        }
        chain.push(to);
        chains.push((from, to, chain));
    }
    let width = place(&mut nodes, &chains);
    let n_rows = nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
    let top = |row: usize| MARGIN + row as f64 * (BOX.1 + GAP.1);
    let middle = |node: &Node| node.x + if node.step.is_some() { BOX.0 / 2.0 } else { PASSING / 2.0 };

    let way = |from: usize, to: usize, d: String, (x, y): (f64, f64)| {
        let when = leads[&(from, to)].iter().filter(|words| !words.is_empty()).cloned().collect::<Vec<_>>().join(" / ");
        let name = |at: usize| steps.0[at].name.clone();
        Way { at: from, from: name(from), to: name(to), short: short(&when, FITS_BESIDE), when, d, x, y }
    };
    let mut ways = Vec::new();
    for (from, to, chain) in &chains {
        let mut d = String::new();
        let mut label = (0.0, 0.0);
        for (n, pair) in chain.windows(2).enumerate() {
            let (above, below) = (&nodes[pair[0]], &nodes[pair[1]]);
            let (x0, y0) = (middle(above), top(above.row) + BOX.1);
            let (x1, y1) = (middle(below), top(below.row));
            if n == 0 {
                d = format!("M{x0:.0} {y0:.0}");
                // Words of ways that leave the same box stand at different heights.
                let n_before = ways.iter().filter(|way: &&Way| way.at == *from).count();
                label = ((x0 + 2.0 * x1) / 3.0, y0 + GAP.1 * [0.4, 0.62, 0.84][n_before % 3]);
            }
            let half = (y0 + y1) / 2.0;
            d += &format!("C{x0:.0} {half:.0} {x1:.0} {half:.0} {x1:.0} {y1:.0}");
            if below.step.is_none() {
                d += &format!("V{:.0}", y1 + BOX.1);
            }
        }
        ways.push(way(*from, *to, d, label));
    }
    for (n, (from, to)) in back.iter().enumerate() {
        let (source, target) = (&nodes[*from], &nodes[*to]);
        let (y0, y1) = (top(source.row) + BOX.1 * 0.7, top(target.row) + BOX.1 * 0.3);
        let lane = width + MARGIN + n as f64 * LANE;
        // Out of the box at its right, below the boxes beside it, and up along the edge.
        let (x0, x1) = (source.x + BOX.0, target.x + BOX.0);
        let (under, over) = (top(source.row) + BOX.1 + 8.0, top(target.row) - 8.0);
        let out = if row_is_free(&nodes, source) { format!("H{lane:.0}") } else { format!("h8V{under:.0}H{lane:.0}") };
        let into = match row_is_free(&nodes, target) {
            true => format!("V{y1:.0}H{x1:.0}"),
            false => format!("V{over:.0}H{:.0}V{y1:.0}H{x1:.0}", x1 + 8.0),
        };
        ways.push(way(*from, *to, format!("M{x0:.0} {y0:.0}{out}{into}"), (x0 + 44.0, y0 + 4.0)));
    }
    let drawn = |(at, step): (usize, &Step)| Drawn {
        id: step.id.clone(),
        name: step.name.clone(),
        short: short(&step.name, FITS),
        does: step.act.label(),
        word: step.act.word(),
        x: nodes[at].x,
        y: top(nodes[at].row),
        w: BOX.0,
        h: BOX.1,
    };
    let lanes = if back.is_empty() { 0.0 } else { MARGIN + back.len() as f64 * LANE };
    Drawing {
        width: width + MARGIN + lanes,
        height: 2.0 * MARGIN + n_rows as f64 * BOX.1 + n_rows.saturating_sub(1) as f64 * GAP.1,
        boxes: steps.0.iter().enumerate().map(drawn).collect(),
        ways,
    }
}

fn row_is_free(nodes: &[Node], node: &Node) -> bool {
    !nodes.iter().any(|other| other.row == node.row && other.x > node.x)
}

/// From which step to which, with the words for all ways between the two.
fn leads(steps: &Steps) -> BTreeMap<(usize, usize), Vec<String>> {
    let mut leads: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for (from, step) in steps.0.iter().enumerate() {
        for (words, to) in step.act.ways() {
            if let Ok(to) = steps.follow(from, to) {
                leads.entry((from, to)).or_default().push(words);
            }
        }
    }
    leads
}

/// The row of each step, and the ways that lead back up.
fn rows(n: usize, leads: &BTreeMap<(usize, usize), Vec<String>>) -> (Vec<usize>, Vec<(usize, usize)>) {
    let next = |from: usize| leads.range((from, 0)..(from + 1, 0)).map(|((_, to), _)| *to).collect::<Vec<_>>();
    let (mut state, mut order, mut back) = (vec![0_u8; n], Vec::new(), Vec::new());
    for start in 0..n {
        // Depth first without recursion: a step, and what of its ways is still to be gone.
        let mut open = Vec::new();
        if state[start] == 0 {
            state[start] = 1;
            open.push((start, next(start)));
        }
        while let Some((at, rest)) = open.last_mut() {
            let at = *at;
            match (!rest.is_empty()).then(|| rest.remove(0)) {
                Some(to) if state[to] == 1 => back.push((at, to)),
                Some(to) if state[to] == 0 => {
                    state[to] = 1;
                    open.push((to, next(to)));
                }
                Some(_) => {}
                None => {
                    state[at] = 2;
                    order.push(at);
                    open.pop();
                }
            }
        }
    }
    let mut rows = vec![0; n];
    for at in order.into_iter().rev() {
        for to in next(at).into_iter().filter(|to| !back.contains(&(at, *to))) {
            rows[to] = rows[to].max(rows[at] + 1);
        }
    }
    (rows, back)
}

/// Puts the nodes of each row side by side, near what they belong to. Returns the width.
fn place(nodes: &mut [Node], chains: &[(usize, usize, Vec<usize>)]) -> f64 {
    let n_rows = nodes.iter().map(|node| node.row + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); n_rows];
    for (at, node) in nodes.iter().enumerate() {
        rows[node.row].push(at);
    }
    let (mut above, mut below) = (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
    for pair in chains.iter().flat_map(|(_, _, chain)| chain.windows(2)) {
        above[pair[1]].push(pair[0]);
        below[pair[0]].push(pair[1]);
    }
    let mut spot = vec![0.0; nodes.len()];
    let settle = |row: &mut Vec<usize>, spot: &mut Vec<f64>, near: Option<&Vec<Vec<usize>>>| {
        if let Some(near) = near {
            let wish = |at: usize| match near[at].is_empty() {
                true => spot[at],
                false => near[at].iter().map(|other| spot[*other]).sum::<f64>() / near[at].len() as f64,
            };
            let wishes: BTreeMap<usize, f64> = row.iter().map(|at| (*at, wish(*at))).collect();
            row.sort_by(|a, b| wishes[a].total_cmp(&wishes[b]));
        }
        let half = (row.len().saturating_sub(1)) as f64 / 2.0;
        for (n, at) in row.iter().enumerate() {
            spot[*at] = n as f64 - half;
        }
    };
    rows.iter_mut().for_each(|row| settle(row, &mut spot, None));
    for _ in 0..4 {
        rows.iter_mut().for_each(|row| settle(row, &mut spot, Some(&above)));
        rows.iter_mut().rev().for_each(|row| settle(row, &mut spot, Some(&below)));
    }
    let size = |node: &Node| if node.step.is_some() { BOX.0 } else { PASSING };
    let length = |row: &[usize], nodes: &[Node]| {
        row.iter().map(|at| size(&nodes[*at])).sum::<f64>() + row.len().saturating_sub(1) as f64 * GAP.0
    };
    let width = rows.iter().map(|row| length(row, nodes)).fold(0.0, f64::max);
    for row in &rows {
        let mut x = MARGIN + (width - length(row, nodes)) / 2.0;
        for at in row {
            nodes[*at].x = x;
            x += size(&nodes[*at]) + GAP.0;
        }
    }
    MARGIN + width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::examples::EXAMPLES;

    #[test]
    fn boxes_never_overlap_and_everything_is_inside() {
        for example in EXAMPLES {
            let drawing = draw(&example.steps());
            for (n, a) in drawing.boxes.iter().enumerate() {
                assert!(a.x >= 0.0 && a.x + a.w <= drawing.width && a.y + a.h <= drawing.height, "{a:?}");
                for b in &drawing.boxes[n + 1..] {
                    assert!((a.x - b.x).abs() >= BOX.0 || (a.y - b.y).abs() >= BOX.1, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_step_stands_below_those_that_lead_to_it_and_circles_are_drawn() {
        let steps: Steps = serde_json::from_value(serde_json::json!([
            {"id": "a", "name": "A", "do": "message", "text": "x", "next": "c"},
            {"id": "b", "name": "B", "do": "ask", "text": "?", "otherwise": "a"},
            {"id": "c", "name": "C", "do": "message", "text": "x", "next": "b"}]))
        .unwrap();
        let drawing = draw(&steps);
        let y = |name: &str| drawing.boxes.iter().find(|it| it.name == name).unwrap().y;
        assert!(y("A") < y("C") && y("C") < y("B"));
        let ways: Vec<_> = drawing.ways.iter().map(|way| format!("{}{}", way.from, way.to)).collect();
        assert_eq!(ways, ["AC", "CB", "BA"]);
        assert_eq!(draw(&Steps::default()).boxes, []);
    }
}
