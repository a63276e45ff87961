//! Words for the cases of an enum: in the database, in forms and in URLs one and the same.

/// Defines an enum whose cases have a word each, and on request what the screen calls them.
///
/// ```ignore
/// words! {
///     /// When lists become an audience.
///     #[derive(Default)]
///     pub enum Freeze {
///         /// Whoever is on them as a run is readied.
///         #[default]
///         Start = "start" => "Whoever is on the lists when a run starts",
///         …
///     }
/// }
/// ```
///
/// gives `ALL` (in this order), `word()`, `of_word()`, with the texts `label()`, and columns of
/// text that hold it.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$about:meta])* $case:ident = $word:literal => $label:literal),+ $(,)?
    }) => {
        $crate::words::words! {
            $(#[$meta])* $vis enum $name { $($(#[$about])* $case = $word),+ }
        }

        impl $name {
            /// What the screen calls it.
            pub fn label(self) -> &'static str {
                match self {
                    $($name::$case => $label),+
                }
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$about:meta])* $case:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Text)]
        $vis enum $name {
            $($(#[$about])* $case),+
        }

        impl $name {
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$case),+];

            /// Its word in the database, in forms and in URLs.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$case => $word),+
                }
            }

            pub fn of_word(word: &str) -> Option<$name> {
                match word {
                    $($word => Some($name::$case),)+
                    _ => None,
                }
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                diesel::serialize::ToSql::<diesel::sql_types::Text, diesel::pg::Pg>::to_sql(self.word(), out)
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                let word = <String as diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg>>::from_sql(bytes)?;
                $name::of_word(&word).ok_or_else(|| format!("{}: no such word: {word}", stringify!($name)).into())
            }
        }
    };
}

pub(crate) use words;
