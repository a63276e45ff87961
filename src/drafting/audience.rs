//! store: Whom a draft goes to, and the fingerprint of all that decides.

use diesel::prelude::*;
use serde_json::Value;

use crate::campaigns::store::{self, Lists};
use crate::campaigns::{Campaign, CampaignKind};
use crate::db::schema;
use crate::drafting::fingerprint::{Decides, fingerprint};
use crate::files::actions::Look;
use crate::files::domain::{File, Mapping, State, Use};
use crate::ids::{CampaignId, FileId, UserId};
use crate::providers::Kind;
use crate::schedules;
use crate::schedules::same_group;
use crate::{deliveries, files, lists};

/// How far the members of a list are counted that somebody may choose.
pub const COUNTED: i64 = 100_000;

/// Whom a draft goes to: a file, or lists.
pub struct Contacts {
    pub source: Source,
    pub kind: Kind,
    /// How many they are now.
    pub n: i64,
    /// What a text may name, as the run will read it.
    pub fields: Vec<String>,
    /// The first of them, once there are some.
    pub firsts: Vec<FirstContact>,
}

/// One of the first contacts of a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstContact {
    pub address: String,
    pub values: Value,
}

/// So many of the first contacts are shown with what they get.
const FIRST: i64 = 5;

pub enum Source {
    File(Box<Look>),
    Lists,
}

impl Contacts {
    /// The values of the first contact.
    pub fn first(&self) -> Option<&Value> {
        self.firsts.first().map(|it| &it.values)
    }

    pub fn look(&self) -> Option<&Look> {
        match &self.source {
            Source::File(look) => Some(look),
            Source::Lists => None,
        }
    }

    pub fn file(&self) -> Option<&File> {
        self.look().map(|look| &look.file)
    }

    /// Fields that hold a value of their own for each contact.
    pub fn data_fields(&self) -> Vec<String> {
        let Some(file) = self.file() else { return self.fields.clone() };
        data_fields(file)
    }

    /// Whether they can be sent to.
    pub fn ready(&self) -> bool {
        self.file().is_none_or(|file| matches!(file.state, State::Imported { .. }))
    }
}

/// Fields of a file that hold a value of their own for each contact.
pub fn data_fields(file: &File) -> Vec<String> {
    let head = &file.head;
    let mapping = file.mapping.clone().unwrap_or_else(|| Mapping::guess(&head.headers, &head.sample));
    let field = |(column, header): (Use, &String)| match column {
        Use::Data { field } => Some(field),
        Use::CustomerId => Some(header.clone()),
        Use::ChannelId | Use::Ignore => None,
    };
    mapping.columns.into_iter().zip(&head.headers).filter_map(field).collect()
}

/// The contacts of a draft, if it has some.
pub fn contacts_of(conn: &mut PgConnection, id: CampaignId, by: UserId) -> QueryResult<Option<Contacts>> {
    let campaign = store::find(conn, id)?;
    let chosen = store::lists(conn, id)?;
    let audience = audience(conn, &campaign, &chosen)?;
    contacts(conn, &audience, &chosen, by)
}

/// Where the contacts of a campaign come from.
pub enum Audience {
    Nobody,
    File(Box<File>, Vec<u8>),
    Lists { kind: Kind, n: i64, digest: String },
}

impl Audience {
    pub fn n(&self) -> i64 {
        match self {
            Audience::Nobody => 0,
            Audience::File(file, _) => file.counts.good,
            Audience::Lists { n, .. } => *n,
        }
    }

    /// Another text as soon as the contacts or their values are others.
    pub fn digest(&self) -> String {
        match self {
            Audience::Nobody => String::new(),
            Audience::File(file, sha256) => {
                let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                let (kind, n, two_ways) = (file.kind.word(), file.counts.good, file.two_ways.word());
                format!("{sha256} {kind} {n} {:?} {two_ways} {:?}", file.region, file.mapping)
            }
            Audience::Lists { kind, n, digest } => format!("{} {n} {digest}", kind.word()),
        }
    }
}

pub fn audience(conn: &mut PgConnection, campaign: &Campaign, chosen: &Lists) -> QueryResult<Audience> {
    use schema::files as table;
    if let Some(file) = campaign.file_id.filter(|_| campaign.kind != CampaignKind::Recurring) {
        let sha256 = table::table.find(file).select(table::sha256).first(conn)?;
        return Ok(Audience::File(Box::new(files::store::find(conn, file)?), sha256));
    }
    if campaign.kind == CampaignKind::Daily || chosen.include.is_empty() {
        return Ok(Audience::Nobody);
    }
    let Some(kind) = lists::store::kind_of(conn, &chosen.include)? else { return Ok(Audience::Nobody) };
    let (n, digest) = lists::store::audience_digest(conn, &chosen.include, &chosen.exclude, kind)?;
    Ok(Audience::Lists { kind, n, digest })
}

/// The fingerprint of a campaign, and how many contacts it has.
pub fn fingerprint_of(conn: &mut PgConnection, campaign: &Campaign) -> QueryResult<(String, i64)> {
    let chosen = store::lists(conn, campaign.id)?;
    let audience = audience(conn, campaign, &chosen)?;
    let quiet = campaign.quiet;
    let schedules = schedules::store::of_campaigns(conn, &[campaign.id])?;
    let decides = Decides { campaign, contacts: &audience.digest(), quiet: &quiet, schedules: &schedules };
    Ok((fingerprint(&decides), audience.n()))
}

pub fn contacts(
    conn: &mut PgConnection,
    audience: &Audience,
    chosen: &Lists,
    by: UserId,
) -> QueryResult<Option<Contacts>> {
    Ok(match audience {
        Audience::Nobody => None,
        Audience::File(file, _) => Some(Contacts {
            source: Source::File(Box::new(files::actions::look(conn, file.id, by)?)),
            kind: file.kind,
            n: file.counts.good,
            fields: deliveries::prepare::fields(conn, file.id)?,
            firsts: files::store::first_rows(conn, file.id, FIRST as i32)?
                .into_iter()
                .map(FirstContact::from)
                .collect(),
        }),
        Audience::Lists { kind, n, .. } => {
            let (include, exclude) = (&chosen.include, &chosen.exclude);
            Some(Contacts {
                source: Source::Lists,
                kind: *kind,
                n: *n,
                fields: lists::store::audience_fields(conn, include, exclude, *kind, COUNTED)?,
                firsts: lists::store::audience_after(conn, include, exclude, *kind, 0, FIRST)?
                    .into_iter()
                    .map(|it| FirstContact { address: it.address, values: it.values })
                    .collect(),
            })
        }
    })
}

/// The values of the `n`th contact of a draft, or of those of one of its groups.
pub fn nth_contact(
    conn: &mut PgConnection,
    id: CampaignId,
    contacts: &Contacts,
    group: &str,
    n: i32,
) -> QueryResult<Option<Value>> {
    let Some(file) = contacts.file() else {
        let Lists { include, exclude } = store::lists(conn, id)?;
        let mut first = lists::store::audience_after(conn, &include, &exclude, contacts.kind, 0, n.into())?;
        return Ok(if first.len() as i32 == n { first.pop().map(|it| it.values) } else { None });
    };
    match store::find(conn, id)?.group_by.filter(|_| !group.is_empty()) {
        Some(field) => Ok(rows_of_group(conn, file.id, &field, group, i64::from(n - 1), 1)?.pop().map(|it| it.values)),
        None => Ok(files::store::row(conn, file.id, n)?.map(|row| row.values)),
    }
}

impl From<files::store::Taken> for FirstContact {
    fn from(row: files::store::Taken) -> Self {
        FirstContact { address: row.address, values: row.values }
    }
}

/// The first contacts of a file whose field has this value.
pub fn firsts_of_group(
    conn: &mut PgConnection,
    file: FileId,
    field: &str,
    value: &str,
) -> QueryResult<Vec<FirstContact>> {
    let rows = rows_of_group(conn, file, field, value, 0, FIRST)?;
    Ok(rows.into_iter().map(FirstContact::from).collect())
}

fn rows_of_group(
    conn: &mut PgConnection,
    file: FileId,
    field: &str,
    value: &str,
    after: i64,
    n: i64,
) -> QueryResult<Vec<files::store::Taken>> {
    let counted = files::store::counted_groups(conn, file, field)?.unwrap_or_default();
    let spellings: Vec<String> =
        counted.into_iter().filter_map(|(spelt, _)| spelt).filter(|spelt| same_group(value, spelt)).collect();
    files::store::rows_with(conn, file, field, &spellings, after, n)
}
