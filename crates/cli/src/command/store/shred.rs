//! `parkway store shred`: keys of sealed backups are destroyed, and the store's log says so.

use parkway::id::Time;
use parkway::log::Channel;
use parkway::memory::Author;
use parkway::upkeep::{BackupId, Keys};

use super::failure;
use crate::args::ShredArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, now, say};
use crate::project::Project;
use crate::render::local;
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
    let backups = meant(what, keys)?;
    if backups.is_empty() {
        out.text("no key here is of a backup that old")?;
        return Ok(Exit::Done);
    }
    let parkway = if dry_run { None } else { project.look().await? };
    for backup in &backups {
        if !dry_run {
            match &parkway {
                Some(parkway) => {
                    let by = Author::new(person(), Channel::Command);
                    parkway.audit().shred(&by, keys, &[*backup], note).await?;
                }
                None => keys.destroy(*backup).and_then(|()| keys.clear_away(*backup)).map_err(failure)?,
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
