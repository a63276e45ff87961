//! What resuming would bring.

use crate::app::App;
use crate::ids::RunId;
use crate::screen::domain::ScheduleLine;
use crate::screen::web::panels::Plan;
use crate::web::Problem;

/// Of these schedules together, if they were resumed now.
pub async fn plan(app: &App, lines: &[&ScheduleLine]) -> Result<Plan, Problem> {
    let now = app.clock.now();
    let too_late = lines.iter().any(|line| line.needs_more_time(now));
    let runs: Vec<_> = lines.iter().flat_map(|line| line.runs()).collect();
    let ids: Vec<RunId> = runs.iter().map(|(run, _)| run.id).collect();
    let barred = app.db.run(move |conn| crate::screen::store::barred(conn, &ids, now)).await?;
    Ok(Plan {
        left: lines.iter().map(|line| line.all_counts().unsent()).sum(),
        barred,
        outlook: crate::screen::domain::if_resumed(runs.into_iter(), now),
        too_late,
        until: None,
        says: match !lines.is_empty() && lines.iter().all(|line| line.is_inbound()) {
            true => Some(meets_again(app, lines).await?),
            false => None,
        },
    })
}

/// What resuming brings where the contact writes first.
async fn meets_again(app: &App, lines: &[&ScheduleLine]) -> Result<String, Problem> {
    let mut says = "Resumed, it meets who writes first again.".to_owned();
    for line in lines {
        let (id, channel) = (line.schedule.campaign_id, &line.channel);
        let Some((other, by)) = line.met_by.clone().filter(|(other, _)| *other != id) else { continue };
        says += &match app.db.run(move |conn| crate::inbound::actions::is_newer(conn, id, other)).await? {
            true => format!(" “{by}” is current on {channel} until then."),
            false => format!(" “{by}” was started later and stays current on {channel}."),
        };
    }
    Ok(says)
}
