//! `parkway store shred`: keys of sealed backups are destroyed, and the store's log says so.

use parkway::id::Time;
use parkway::log::Channel;
use parkway::memory::Author;
use parkway::upkeep::{BackupId, Keys};

use super::{failure, tell_of_copies};
use crate::args::ShredArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, now, say};
use crate::project::Project;
use crate::render::{counted, local};
use crate::session::person;

/// Destroys the keys that are meant.
pub(super) async fn shred(
    project: &Project,
    what: &ShredArgs,
    keys: &Keys,
    note: &str,
    dry_run: bool,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let parkway = project.look().await?;
    let mut backups = meant(what, keys)?;
    let log = match &parkway {
        Some(parkway) => parkway.audit().origin().await?,
        None => String::new(),
    };
    let log = log.trim_start_matches("parkway/");
    // One that is named is refused if it is another's; of many those are left.
    let all = backups.len();
    if what.backup.is_none() {
        backups.retain(|backup| keys.belongs(*backup, log).is_ok());
    }
    let others = all - backups.len();
    if others > 0 {
        let keys = counted(others as u64, "key");
        say(&format!("{keys} of other stores, or that say of none, left as they are; --of-any-store means them, too"));
    }
    if backups.is_empty() {
        out.text("no key here is of a backup that old")?;
        return Ok(Exit::Done);
    }
    for backup in &backups {
        if !dry_run {
            match &parkway {
                Some(parkway) => {
                    let by = Author::new(person(), Channel::Command);
                    parkway.audit().shred(&by, keys, &[*backup], note).await?;
                }
                None => {
                    let gone = keys.belongs(*backup, log).and_then(|()| keys.destroy(*backup));
                    gone.and_then(|()| keys.clear_away(*backup)).map_err(failure)?;
                }
            }
        }
        let would = if dry_run { "would be destroyed" } else { "is destroyed" };
        out.text(&format!("the key of the backup {backup}, made {}, {would}", local(backup.at())))?;
    }
    if !dry_run {
        out.text("  no copy of it can be read any more, unless somebody has kept a copy of the key")?;
        if parkway.is_none() {
            say(&format!("  it is written down nowhere: there is no store at {}", project.store));
        }
        tell_of_copies(project);
    }
    Ok(Exit::Done)
}

/// The backups whose keys are meant.
fn meant(what: &ShredArgs, keys: &Keys) -> Result<Vec<BackupId>, Failure> {
    if let Some(backup) = &what.backup {
        let id = backup.to_str().and_then(|text| text.parse().ok());
        return match id {
            Some(id) => Ok(vec![id]),
            None if backup.exists() => Ok(vec![keys.backup_in(backup).map_err(failure)?]),
            None => {
                let what = backup.display();
                Err(Failure::invalid(format!("`{what}` is neither a file nor the id of a backup"))
                    .help("an id has 32 hexadecimal digits; the names of the keys are the ids"))
            }
        };
    }
    let before = before(what.before.as_deref().unwrap_or_default())?;
    let mut backups = keys.list().map_err(failure)?;
    backups.retain(|backup| backup.at() < before);
    Ok(backups)
}

/// A point in time, or days before now.
fn before(text: &str) -> Result<Time, Failure> {
    if let Ok(days) = text.parse::<u32>() {
        let age = i64::from(days).saturating_mul(86_400_000_000);
        return Ok(Time::from_micros(now().micros().saturating_sub(age)));
    }
    text.parse().map_err(|error| {
        Failure::invalid(format!("{error}")).help("or name days: `--before 30` is all that is older than 30 days")
    })
}
