//! Where the files of a broker are: [`FileName`] to path and back.
//!
//! Knows names only, not contents; what it does not know by name it leaves alone.
//!
//! ```text
//! <data folder>/meta/<n, 10 digits>.meta
//! <data folder>/<label>.<group>/<base offset, 20 digits>.<base index, 16 hex digits>.log
//! <data folder>/<label>.<group>/<base offset, 20 digits>.<base index, 16 hex digits>.copy
//! <data folder>/<label>.<group>/<index, 16 hex digits>.producers
//! ```

use ottla_core::disk::{FileName, Inventory};
use ottla_core::ids::{GroupId, Index, Offset};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folder of the meta log.
pub const META: &str = "meta";

/// The paths of one data folder.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    /// Folder of each group; its first part is cosmetic and only the folder itself remembers it.
    groups: BTreeMap<GroupId, PathBuf>,
}

impl Layout {
    /// Reads what the folder `root` has.
    ///
    /// # Errors
    /// The folder can't be read, or two folders claim the same group.
    pub fn scan(root: &Path) -> io::Result<(Layout, Inventory)> {
        let mut layout = Layout { root: root.to_path_buf(), groups: BTreeMap::new() };
        let mut inventory = Inventory::default();
        for (name, path, is_folder) in entries(root)? {
            if is_folder && name == META {
                layout.scan_files(&path, &mut inventory, parse_meta)?;
            } else if is_folder && let Some(group) = parse_group(&name) {
                layout.scan_files(&path, &mut inventory, |name| parse_group_file(group, name))?;
                inventory.groups.push(group);
                if let Some(other) = layout.groups.insert(group, path.clone()) {
                    return Err(io::Error::other(format!("{} and {} are both group {group}", other.display(), path.display())));
                }
            }
        }
        inventory.groups.sort_unstable();
        inventory.files.sort_unstable();
        Ok((layout, inventory))
    }

    fn scan_files(&self, folder: &Path, inventory: &mut Inventory, parse: impl Fn(&str) -> Option<FileName>) -> io::Result<()> {
        for (name, path, is_folder) in entries(folder)? {
            if !is_folder && let Some(file) = parse(&name) {
                inventory.files.push((file, fs::metadata(path)?.len()));
            }
        }
        Ok(())
    }

    /// The data folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a known group.
    #[must_use]
    pub fn group_folder(&self, group: GroupId) -> Option<&Path> {
        self.groups.get(&group).map(PathBuf::as_path)
    }

    /// The folder of a group, made known.
    pub fn add_group(&mut self, group: GroupId, label: &str) -> PathBuf {
        self.groups.entry(group).or_insert_with(|| self.root.join(format!("{label}.{group}"))).clone()
    }

    /// Forgets a group; its folder, if it has one.
    pub fn remove_group(&mut self, group: GroupId) -> Option<PathBuf> {
        self.groups.remove(&group)
    }

    /// The path of a file; `None` when its group has no folder.
    #[must_use]
    pub fn path(&self, file: FileName) -> Option<PathBuf> {
        match file {
            FileName::Meta(number) => Some(self.root.join(META).join(format!("{number:010}.meta"))),
            FileName::Segment { group, base_offset, base_index } => {
                Some(self.groups.get(&group)?.join(format!("{:020}.{:016x}.log", base_offset.0, base_index.0)))
            }
            FileName::Index { group, base_offset, base_index } => {
                Some(self.groups.get(&group)?.join(format!("{:020}.{:016x}.idx", base_offset.0, base_index.0)))
            }
            FileName::Copy { group, base_offset, base_index } => {
                Some(self.groups.get(&group)?.join(format!("{:020}.{:016x}.copy", base_offset.0, base_index.0)))
            }
            FileName::Producers { group, index } => Some(self.groups.get(&group)?.join(format!("{:016x}.producers", index.0))),
        }
    }
}

/// Names, paths and whether they are folders, in the order of names.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path(), entry.file_type()?.is_dir()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn parse_meta(name: &str) -> Option<FileName> {
    let digits = name.strip_suffix(".meta").filter(|digits| digits.len() == 10)?;
    digits.parse().ok().map(FileName::Meta)
}

fn parse_group(name: &str) -> Option<GroupId> {
    name.rsplit_once('.')?.1.parse().ok().map(GroupId)
}

fn parse_group_file(group: GroupId, name: &str) -> Option<FileName> {
    let (stem, kind) = name.rsplit_once('.')?;
    match kind {
        "log" => parse_place(stem).map(|(base_offset, base_index)| FileName::Segment { group, base_offset, base_index }),
        "idx" => parse_place(stem).map(|(base_offset, base_index)| FileName::Index { group, base_offset, base_index }),
        "copy" => parse_place(stem).map(|(base_offset, base_index)| FileName::Copy { group, base_offset, base_index }),
        "producers" => parse_index(stem).map(|index| FileName::Producers { group, index }),
        _ => None,
    }
}

fn parse_place(stem: &str) -> Option<(Offset, Index)> {
    let (offset, index) = stem.split_once('.').filter(|(offset, _)| offset.len() == 20)?;
    Some((Offset(offset.parse().ok()?), parse_index(index)?))
}

fn parse_index(digits: &str) -> Option<Index> {
    u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16).map(Index)
}
