//! store: In which order the list shows campaigns: in four groups, sorted inside each.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Float8, Int8, Nullable, Text, Timestamptz};

use crate::campaigns::Campaign;
use crate::ids::CampaignId;
use crate::screen::store::{ShowCampaigns, asked_for, some};
use crate::words::words;

words! {
    /// What is to be done with a campaign: the groups of the list, in their order.
    #[derive(PartialOrd, Ord)]
    pub enum CampaignGroup {
        /// It runs, stands still, or waits for today's file.
        Now = "now" => "Now",
        /// It starts by itself.
        Next = "next" => "Next",
        Drafts = "drafts" => "Drafts",
        Done = "done" => "Done",
    }
}

words! {
    /// By what the campaigns of a group are sorted.
    #[derive(Default)]
    pub enum CampaignSort {
        /// The newest first; of what is to come, the soonest.
        #[default]
        Usual = "usual" => "As usual",
        Name = "name" => "Name",
        Start = "start" => "Start",
        Progress = "progress" => "Progress",
        End = "end" => "End",
    }
}

/// An order of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignOrder {
    pub by: CampaignSort,
    pub backwards: bool,
}

impl CampaignOrder {
    /// `end` or `-end`. Unknown words mean the usual order.
    pub fn parse(text: &str) -> CampaignOrder {
        let (word, backwards) = text.strip_prefix('-').map_or((text, false), |word| (word, true));
        match CampaignSort::of_word(word) {
            Some(by) if by != CampaignSort::Usual => CampaignOrder { by, backwards },
            Some(_) | None => CampaignOrder::default(),
        }
    }

    /// What a click on `by` asks for: this order, or the other way round.
    pub fn pressed(self, by: CampaignSort) -> CampaignOrder {
        CampaignOrder { by, backwards: self.by == by && by != CampaignSort::Usual && !self.backwards }
    }
}

impl std::fmt::Display for CampaignOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.backwards { "-" } else { "" }, self.by.word())
    }
}

/// What the last row of a page was sorted by; the next page begins behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignPlace {
    pub group: CampaignGroup,
    figure: f64,
    name: String,
    id: CampaignId,
}

impl CampaignPlace {
    /// `None` when it is none; the list then begins at its top.
    pub fn parse(text: &str) -> Option<CampaignPlace> {
        let mut parts = text.splitn(4, '_');
        let group = CampaignGroup::of_word(parts.next()?)?;
        let id = CampaignId(parts.next()?.parse().ok()?);
        let figure = parts.next()?.parse().ok().filter(|figure: &f64| !figure.is_nan())?;
        Some(CampaignPlace { group, figure, name: parts.next()?.replace('\0', ""), id })
    }
}

impl std::fmt::Display for CampaignPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}_{}_{}", self.group.word(), self.id, self.figure, self.name)
    }
}

/// A campaign of the list, and where in it.
#[derive(Clone, Debug)]
pub struct PlacedCampaign {
    pub campaign: Campaign,
    pub place: CampaignPlace,
    /// How many there are in its group, on all pages.
    pub n_in_group: i64,
}

/// Up to `limit` campaigns whose names hold `q`, from the one behind `after` on.
pub fn list(
    conn: &mut PgConnection,
    q: &str,
    show: ShowCampaigns,
    order: CampaignOrder,
    after: Option<&CampaignPlace>,
    limit: usize,
    now: DateTime<Utc>,
) -> QueryResult<Vec<PlacedCampaign>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Int8)]
        id: CampaignId,
        #[diesel(sql_type = Text)]
        stands: CampaignGroup,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Float8)]
        figure: f64,
        #[diesel(sql_type = Int8)]
        n_in_group: i64,
    }
    let asked = asked_for(conn, q, show, now)?;
    let rows: Vec<Row> = diesel::sql_query(include_str!("order.sql"))
        .bind::<Array<Int8>, _>(asked)
        .bind::<Text, _>(order.by)
        .bind::<Bool, _>(order.backwards)
        .bind::<Timestamptz, _>(now)
        .bind::<Nullable<Text>, _>(after.map(|it| it.group))
        .bind::<Nullable<Float8>, _>(after.map(|it| it.figure))
        .bind::<Nullable<Text>, _>(after.map(|it| it.name.as_str()))
        .bind::<Nullable<Int8>, _>(after.map(|it| it.id))
        .bind::<Int8, _>(limit as i64)
        .load(conn)?;
    let ids: Vec<CampaignId> = rows.iter().map(|row| row.id).collect();
    let mut found = some(conn, &ids)?;
    let placed = |Row { id, stands, name, figure, n_in_group }: Row| {
        let n = found.iter().position(|campaign| campaign.id == id)?;
        let place = CampaignPlace { group: stands, figure, name, id };
        Some(PlacedCampaign { campaign: found.swap_remove(n), place, n_in_group })
    };
    Ok(rows.into_iter().filter_map(placed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_an_order_are_read_as_they_were_written() {
        for (figure, name) in [(-1764460800.123457, ""), (f64::INFINITY, ""), (0.0, "a_b-c & d")] {
            let place = CampaignPlace { group: CampaignGroup::Next, figure, name: name.to_owned(), id: CampaignId(12) };
            assert_eq!(CampaignPlace::parse(&place.to_string()), Some(place));
        }
        for text in ["", "12", "now_12", "now_12_NaN_x", "then_12_1_x", "now_x_1_x"] {
            assert_eq!(CampaignPlace::parse(text), None, "{text}");
        }
        for text in ["name", "-name", "-end", "usual"] {
            assert_eq!(CampaignOrder::parse(text).to_string(), text);
        }
        assert_eq!(CampaignOrder::parse("-usual"), CampaignOrder::default());
        let by_end = CampaignOrder::default().pressed(CampaignSort::End);
        assert_eq!((by_end.to_string(), by_end.pressed(CampaignSort::End).to_string()), ("end".into(), "-end".into()));
    }
}
