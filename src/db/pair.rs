//! Two servers of which one takes over when the other is lost.

use diesel::prelude::*;
use diesel::sql_types::Bool;

/// Whether a connection may lead to one of several servers.
pub fn has_several_hosts(url: &str) -> bool {
    let (hosts, named) = match url.split_once("://") {
        Some((_, rest)) => {
            let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
            let authority = place.split('/').next().unwrap_or_default();
            (authority.rsplit('@').next().unwrap_or_default(), query.split('&').collect::<Vec<_>>())
        }
        None => ("", url.split_whitespace().collect()),
    };
    let named = named.iter().filter_map(|it| it.strip_prefix("host=").or(it.strip_prefix("hostaddr=")));
    hosts.contains(',') || named.into_iter().any(|hosts| hosts.contains(','))
}

/// Whether the server confirms what no other server has yet: one that takes over would not know of it.
pub fn confirms_alone(conn: &mut PgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Alone {
        #[diesel(sql_type = Bool)]
        alone: bool,
    }
    diesel::sql_query(
        "SELECT current_setting('synchronous_standby_names') = '' OR current_setting('synchronous_commit') IN ('off', 'local') AS alone",
    )
    .get_result::<Alone>(conn)
    .map(|it| it.alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_are_seen_in_every_form_that_libpq_reads() {
        for several in [
            "postgres://db1,db2/bugle",
            "postgresql://bugle:a,b@db1:5432,db2:5433/bugle?target_session_attrs=read-write",
            "postgres:///bugle?user=bugle&host=db1,db2",
            "host=db1,db2 dbname=bugle",
        ] {
            assert!(has_several_hosts(several), "{several}");
        }
        for one in
            ["postgres://bugle:a,b@db/bugle?options=-c%20search_path=a,b", "host=/run/postgresql dbname=a,b", "bugle"]
        {
            assert!(!has_several_hosts(one), "{one}");
        }
    }
}
