//! The data folder's identity: whose it is, which format it has, and that one process uses it.
//!
//! Knows nothing of logs. A folder is given an identity once, when it is empty; a broker that is not the one it was given to refuses to
//! start with one plain sentence, because the alternative is a log that mixes two histories.
//!
//! ```text
//! <data folder>/identity.properties   format.version, cluster.id, node.id, directory.id
//! <data folder>/lock                  held by the process that uses the folder
//! <data folder>/meta/                 see `disk`
//! ```

use crate::configuration::parse_pairs;
use crate::disk::{META, sync_folder};
use ottla_core::ids::BrokerId;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FORMAT_VERSION: &str = "1";
const IDENTITY: &str = "identity.properties";

/// An opened data folder; the lock is held as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    cluster_id: String,
    _lock: File,
}

impl DataFolder {
    /// Opens `path` for `broker`, making it if it is missing or empty. `cluster_id` is what the operator set; without it an existing
    /// folder keeps its own and a fresh one gets `fresh_cluster_id`. `directory_id` names a fresh folder.
    ///
    /// # Errors
    /// A plain sentence: the folder is in use, belongs to somebody else, has an unknown format or can't be used.
    pub fn open(
        path: &Path,
        broker: BrokerId,
        cluster_id: Option<&str>,
        fresh_cluster_id: &str,
        directory_id: &str,
    ) -> Result<DataFolder, String> {
        let shown = path.display();
        fs::create_dir_all(path).map_err(|error| format!("The data folder {shown} can't be made: {error}."))?;
        let lock = lock(path)?;
        let identity = path.join(IDENTITY);
        let cluster_id = match fs::read_to_string(&identity) {
            Ok(text) => check(&text, &shown.to_string(), broker, cluster_id)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.join(META).exists() {
                    return Err(format!("The data folder {shown} holds data but its {IDENTITY} is missing; restore that file."));
                }
                let cluster_id = cluster_id.unwrap_or(fresh_cluster_id);
                claim(path, broker, cluster_id, directory_id)
                    .map_err(|error| format!("The data folder {shown} can't be prepared: {error}."))?;
                cluster_id.to_string()
            }
            Err(error) => return Err(format!("{} can't be read: {error}.", identity.display())),
        };
        fs::create_dir_all(path.join(META)).map_err(|error| format!("The data folder {shown} can't be prepared: {error}."))?;
        Ok(DataFolder { path: path.to_path_buf(), cluster_id, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
}

fn lock(path: &Path) -> Result<File, String> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path.join("lock"));
    let file = file.map_err(|error| format!("The data folder {shown} can't be locked: {error}."))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("The data folder {shown} is in use by another process; stop that one or set another log.dirs."))
        }
        Err(TryLockError::Error(error)) => Err(format!("The data folder {shown} can't be locked: {error}.")),
    }
}

/// The cluster id of the folder, if it may be used.
fn check(text: &str, shown: &str, broker: BrokerId, cluster_id: Option<&str>) -> Result<String, String> {
    let pairs = parse_pairs(text);
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let version = value("format.version");
    if version != FORMAT_VERSION {
        return Err(format!(
            "The data folder {shown} has format version {version:?}, this program knows version {FORMAT_VERSION}; use the program that made it."
        ));
    }
    let owner = value("node.id");
    if owner != broker.0.to_string() {
        return Err(format!(
            "The data folder {shown} belongs to broker {owner}, this is broker {}; check node.id and log.dirs.",
            broker.0
        ));
    }
    let own = value("cluster.id");
    match cluster_id {
        Some(wanted) if wanted != own => Err(format!(
            "The data folder {shown} belongs to cluster {own}, this broker to cluster {wanted}; check cluster.id and log.dirs."
        )),
        Some(_) | None if own.is_empty() => {
            Err(format!("The data folder {shown} has an {IDENTITY} without cluster.id; restore that file."))
        }
        Some(_) | None => Ok(own.to_string()),
    }
}

/// Writes the identity, whole or not at all.
fn claim(path: &Path, broker: BrokerId, cluster_id: &str, directory_id: &str) -> io::Result<()> {
    let text = format!(
        "# Whose data this is. Written once; a broker with another identity refuses to use this folder.\n\
         format.version={FORMAT_VERSION}\ncluster.id={cluster_id}\nnode.id={}\ndirectory.id={directory_id}\n",
        broker.0
    );
    let staged = path.join("identity.new");
    let mut file = File::create(&staged)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&staged, path.join(IDENTITY))?;
    sync_folder(path)?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn open(folder: &Scratch, broker: i32, cluster: Option<&str>) -> Result<DataFolder, String> {
        DataFolder::open(folder.path(), BrokerId(broker), cluster, "fresh", "dir")
    }

    #[test]
    fn a_fresh_folder_is_claimed_and_opens_again_for_its_owner_alone() {
        let folder = Scratch::new();
        assert_eq!(open(&folder, 1, None).expect("fresh").cluster_id(), "fresh");
        assert_eq!(open(&folder, 1, Some("fresh")).expect("ours").cluster_id(), "fresh");
        let refused = open(&folder, 2, None).expect_err("another broker's");
        assert!(refused.contains("belongs to broker 1, this is broker 2"), "{refused}");
        let refused = open(&folder, 1, Some("other")).expect_err("another cluster's");
        assert!(refused.contains("belongs to cluster fresh, this broker to cluster other"), "{refused}");
    }

    #[test]
    fn a_second_process_is_refused_while_the_first_lives() {
        let folder = Scratch::new();
        let first = open(&folder, 1, None).expect("fresh");
        let refused = open(&folder, 1, None).expect_err("in use");
        assert!(refused.contains("is in use by another process"), "{refused}");
        drop(first);
        open(&folder, 1, None).expect("free again");
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let folder = Scratch::new();
        drop(open(&folder, 1, None).expect("fresh"));
        let identity = folder.path().join(IDENTITY);
        let text = fs::read_to_string(&identity).expect("written").replace("format.version=1", "format.version=2");
        fs::write(&identity, text).expect("writable");
        let refused = open(&folder, 1, None).expect_err("from the future");
        assert!(refused.contains("has format version \"2\", this program knows version 1"), "{refused}");
    }

    #[test]
    fn data_without_an_identity_is_not_claimed() {
        let folder = Scratch::new();
        drop(open(&folder, 1, None).expect("fresh"));
        fs::remove_file(folder.path().join(IDENTITY)).expect("writable");
        let refused = open(&folder, 1, None).expect_err("whose is it?");
        assert!(refused.contains("identity.properties is missing"), "{refused}");
    }
}
