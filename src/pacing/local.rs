use chrono::NaiveTime;
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LocalHours {
    pub from: NaiveTime,
    pub to: NaiveTime,
}
