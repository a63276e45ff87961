use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Text};

/// SQL put together from pieces, for questions whose shape people choose. What
/// they typed is always bound and never stands in the text.
#[derive(Default)]
pub struct Assembled {
    text: String,
    binds: Vec<Bind>,
}

enum Bind {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    Numbers(Vec<i64>),
}

impl Assembled {
    /// Adds SQL as it stands.
    pub fn sql(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value of SQL's type `text`.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bind(Bind::Text(value.to_owned()))
    }

    /// Adds a value of SQL's type `text[]`.
    pub fn texts(&mut self, values: Vec<String>) -> &mut Self {
        self.bind(Bind::Texts(values))
    }

    /// Adds a value of SQL's type `bigint`.
    pub fn number(&mut self, value: i64) -> &mut Self {
        self.bind(Bind::Number(value))
    }

    /// Adds a value of SQL's type `bigint[]`.
    pub fn numbers(&mut self, values: Vec<i64>) -> &mut Self {
        self.bind(Bind::Numbers(values))
    }

    fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        self.text.push_str(&format!("${}", self.binds.len()));
        self
    }

    pub fn query(self) -> BoxedSqlQuery<'static, Pg, SqlQuery> {
        self.binds.into_iter().fold(diesel::sql_query(self.text).into_boxed(), |query, bind| match bind {
            Bind::Text(value) => query.bind::<Text, _>(value),
            Bind::Texts(values) => query.bind::<Array<Text>, _>(values),
            Bind::Number(value) => query.bind::<BigInt, _>(value),
            Bind::Numbers(values) => query.bind::<Array<BigInt>, _>(values),
        })
    }
}
