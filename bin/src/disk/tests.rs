//! The promises of [`ottla_core::disk`] on a real file system.

use super::*;
use crate::scratch::Scratch;
use ottla_core::ids::{GroupId, Index, Offset};
use ottla_net::InboxReceiver;
use std::process::Command;

const GROUP: GroupId = GroupId(7);

fn segment(base: i64) -> FileName {
    FileName::Segment { group: GROUP, base_offset: Offset(base), base_index: Index(2) }
}

struct Fixture {
    folder: Scratch,
    disk: FileDisk,
    inbox: InboxReceiver,
    next: u64,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = Scratch::new();
        fs::create_dir(folder.path().join(META)).expect("a fresh folder");
        let (disk, inbox) = open(folder.path());
        let mut fixture = Fixture { folder, disk, inbox, next: 0 };
        let id = fixture.submit(DiskAction::CreateGroup { group: GROUP, label: "orders-0".to_string() });
        assert_eq!(fixture.done(), DiskDone { id, stage: DiskStage::Durable });
        fixture
    }
    fn submit(&mut self, action: DiskAction) -> DiskId {
        let id = DiskId(self.next);
        self.next += 1;
        self.disk.submit(vec![DiskOp { id, action }]);
        id
    }
    fn append(&mut self, file: FileName, position: u64, data: &'static [&'static [u8]]) -> DiskId {
        self.append_for(true, file, position, data)
    }
    fn append_for(&mut self, is_awaited: bool, file: FileName, position: u64, data: &'static [&'static [u8]]) -> DiskId {
        let data = data.iter().map(|slice| Bytes::from_static(slice)).collect();
        self.submit(DiskAction::Append { file, position, data, is_awaited })
    }
    fn done(&mut self) -> DiskDone {
        let Some(Input::Disk(done)) = next(&mut self.inbox) else { panic!("the disk only tells completions") };
        done
    }
    fn stages(&mut self, count: usize) -> Vec<(DiskId, DiskStage)> {
        (0..count).map(|_| self.done()).map(|done| (done.id, done.stage)).collect()
    }
    fn read(&mut self, file: FileName, position: u64, length: u32) -> DiskStage {
        self.submit(DiskAction::Read { file, position, length });
        self.done().stage
    }
}

fn next(inbox: &mut InboxReceiver) -> Option<Input> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let soon = async { tokio::time::timeout(Duration::from_secs(30), inbox.next()).await };
    runtime.block_on(soon).expect("nothing is told for half a minute")
}

fn open(folder: &Path) -> (FileDisk, InboxReceiver) {
    let (inbox, receiver) = Inbox::new();
    let (layout, _) = Layout::scan(folder).expect("readable");
    (FileDisk::start(layout, inbox, 4, 0).expect("threads start"), receiver)
}

#[test]
fn an_append_is_told_written_and_then_durable_and_can_be_read() {
    let mut fixture = Fixture::new();
    let first = fixture.append(segment(0), 0, &[b"abc", b"", b"def"]);
    let second = fixture.append(segment(0), 6, &[b"ghi"]);
    let stages = fixture.stages(4);
    for id in [first, second] {
        let own: Vec<&DiskStage> = stages.iter().filter(|(of, _)| *of == id).map(|(_, stage)| stage).collect();
        assert_eq!(own, [&DiskStage::Written, &DiskStage::Durable]);
    }
    assert_eq!(fixture.read(segment(0), 2, 5), DiskStage::Read(Bytes::from_static(b"cdefg")));
}

#[test]
fn the_volume_is_as_large_as_the_system_says() {
    let fixture = Fixture::new();
    let volume = fixture.disk.volume().expect("a folder is on a volume");
    let df = Command::new("df").args(["-B1", "--output=size"]).arg(fixture.folder.path()).output().expect("there is a df");
    let told = String::from_utf8(df.stdout).expect("text");
    assert_eq!(told.lines().nth(1).map(str::trim), Some(volume.total_bytes.to_string().as_str()), "{told}");
    assert!((1..=volume.total_bytes).contains(&volume.usable_bytes), "{volume:?}");
}

#[test]
fn what_nobody_waits_for_is_durable_soon_although_nothing_else_happens() {
    let mut fixture = Fixture::new();
    for number in 0..5 {
        // More files than the four that may wait to be flushed.
        for base in 0..8 {
            fixture.append_for(false, segment(base), number * 3, &[b"abc"]);
        }
    }
    let stages = fixture.stages(80);
    assert_eq!(stages.iter().filter(|(_, stage)| *stage == DiskStage::Durable).count(), 40);
}

#[test]
fn completions_of_one_file_come_in_the_order_of_issue() {
    let mut fixture = Fixture::new();
    let mut expected = Vec::new();
    for number in 0..200 {
        expected.push(fixture.append(segment(0), number * 3, &[b"abc"]));
        fixture.append(segment(9), number * 2, &[b"xy"]);
    }
    let stages = fixture.stages(800);
    for stage in [DiskStage::Written, DiskStage::Durable] {
        let order: Vec<DiskId> = stages.iter().filter(|(id, of)| *of == stage && id.0 % 2 == 1).map(|(id, _)| *id).collect();
        assert_eq!(order, expected, "{stage:?}");
    }
}

#[test]
fn files_found_at_the_next_start_are_the_ones_that_were_written() {
    let mut fixture = Fixture::new();
    fixture.append(segment(0), 0, &[b"abc"]);
    fixture.append(FileName::Meta(3), 0, &[b"hello"]);
    fixture.stages(4);
    fs::write(fixture.folder.path().join("lost+found"), b"").expect("writable");
    fs::write(fixture.folder.path().join("orders-0.7/notes.txt"), b"").expect("writable");
    let (_, inventory) = Layout::scan(fixture.folder.path()).expect("readable");
    assert_eq!(inventory.groups, [GROUP]);
    assert_eq!(inventory.files, [(FileName::Meta(3), 5), (segment(0), 3)]);
    assert!(fixture.folder.path().join("orders-0.7/00000000000000000000.0000000000000002.log").exists());
}

#[test]
fn a_cut_file_goes_on_at_its_new_end() {
    let mut fixture = Fixture::new();
    fixture.append(segment(0), 0, &[b"abcdef"]);
    fixture.stages(2);
    fixture.submit(DiskAction::Truncate { file: segment(0), length: 2 });
    assert_eq!(fixture.done().stage, DiskStage::Durable);
    fixture.append(segment(0), 2, &[b"XY"]);
    fixture.stages(2);
    assert_eq!(fixture.read(segment(0), 0, 4), DiskStage::Read(Bytes::from_static(b"abXY")));
}

#[test]
fn removing_is_idempotent_and_a_removed_group_can_be_made_again() {
    let mut fixture = Fixture::new();
    fixture.append(segment(0), 0, &[b"abc"]);
    fixture.stages(2);
    for _ in 0..2 {
        fixture.submit(DiskAction::Remove { files: vec![segment(0), segment(5)] });
        assert_eq!(fixture.done().stage, DiskStage::Durable);
    }
    fixture.append(segment(0), 0, &[b"again"]);
    fixture.stages(2);
    for _ in 0..2 {
        fixture.submit(DiskAction::RemoveGroup { group: GROUP });
        assert_eq!(fixture.done().stage, DiskStage::Durable);
    }
    assert!(Layout::scan(fixture.folder.path()).expect("readable").1.groups.is_empty());
    fixture.submit(DiskAction::CreateGroup { group: GROUP, label: "orders-0".to_string() });
    assert_eq!(fixture.done().stage, DiskStage::Durable);
    fixture.append(segment(0), 0, &[b"new"]);
    assert_eq!(fixture.stages(2).len(), 2);
}

#[test]
fn a_renamed_file_takes_the_place_of_another_and_goes_on() {
    let mut fixture = Fixture::new();
    let copy = FileName::Copy { group: GROUP, base_offset: Offset(0), base_index: Index(2) };
    let producers = FileName::Producers { group: GROUP, index: Index(9) };
    let index = FileName::Index { group: GROUP, base_offset: Offset(7), base_index: Index(4) };
    fixture.append(segment(0), 0, &[b"old and longer"]);
    fixture.append(copy, 0, &[b"abc"]);
    fixture.append(producers, 0, &[b"table"]);
    fixture.append(index, 0, &[b"ro"]);
    fixture.stages(8);
    for _ in 0..2 {
        fixture.submit(DiskAction::Rename { files: vec![(copy, segment(0))] });
        assert_eq!(fixture.done().stage, DiskStage::Durable, "also when it was renamed before");
    }
    fixture.append(segment(0), 3, &[b"def"]);
    fixture.stages(2);
    assert_eq!(fixture.read(segment(0), 0, 6), DiskStage::Read(Bytes::from_static(b"abcdef")));
    fixture.append(copy, 0, &[b"next"]);
    fixture.stages(2);
    let (_, inventory) = Layout::scan(fixture.folder.path()).expect("readable");
    assert_eq!(inventory.files, [(segment(0), 6), (producers, 5), (index, 2), (copy, 4)]);
}

#[test]
fn the_first_failure_is_told_once_and_nothing_after_it() {
    let mut fixture = Fixture::new();
    let id = fixture.append(segment(0), 5, &[b"abc"]);
    let done = fixture.done();
    assert_eq!(done.id, id);
    assert!(matches!(done.stage, DiskStage::Failed(_)), "{done:?}");
    fixture.append(segment(1), 0, &[b"abc"]);
    fixture.submit(DiskAction::Read { file: segment(3), position: 0, length: 1 });
    drop(fixture.disk);
    assert!(next(&mut fixture.inbox).is_none(), "nothing is told after a failure");
    assert!(!fixture.folder.path().join("orders-0.7/00000000000000000001.0000000000000002.log").exists());
}

#[test]
fn a_read_beyond_the_end_fails() {
    let mut fixture = Fixture::new();
    fixture.append(segment(0), 0, &[b"abc"]);
    fixture.stages(2);
    assert!(matches!(fixture.read(segment(0), 1, 3), DiskStage::Failed(_)));
}

#[test]
fn files_that_wait_for_the_device_are_not_all_open() {
    let mut fixture = Fixture::new();
    let folder = fs::canonicalize(fixture.folder.path()).expect("it exists");
    let is_inside = |handle: &fs::DirEntry| fs::read_link(handle.path()).is_ok_and(|path| path.starts_with(&folder));
    let mut most = 0;
    for base in 0..400 {
        fixture.append(segment(base), 0, &[b"abc"]);
        let handles = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
        most = most.max(handles.filter(|handle| is_inside(handle)).count());
    }
    assert_eq!(fixture.stages(800).iter().filter(|(_, stage)| *stage == DiskStage::Durable).count(), 400);
    // Four are kept, four wait, eight are flushed with their folder, and one is being appended to.
    assert!(most <= 4 + 4 + 2 * 8 + 1, "{most} files were open at once");
}

#[test]
fn more_files_than_handles_are_no_problem() {
    let mut fixture = Fixture::new();
    for round in 0..3_u64 {
        for base in 0..20 {
            fixture.append(segment(base), round * 3, &[b"abc"]);
        }
    }
    fixture.stages(120);
    for base in 0..20 {
        assert_eq!(fixture.read(segment(base), 6, 3), DiskStage::Read(Bytes::from_static(b"abc")));
    }
}

#[test]
fn an_append_that_finds_no_room_waits_for_it() {
    let mut fixture = Fixture::new();
    // Every write to this device finds no room.
    let segment_path = fixture.disk.path(segment(0)).expect("its group has a folder");
    std::os::unix::fs::symlink("/dev/full", &segment_path).expect("a name");
    let first = fixture.append(segment(0), 0, &[b"abc"]);
    let second = fixture.append(segment(0), 3, &[b"def"]);
    let other = fixture.append(segment(9), 0, &[b"x"]);
    assert!(matches!(next(&mut fixture.inbox), Some(Input::DiskFull { is_full: true })));
    assert!(matches!(next(&mut fixture.inbox), Some(Input::Tick)), "the broker is kept awake");
    assert!(fixture.disk.is_waiting());
    fixture.disk.submit(Vec::new());
    assert!(fixture.disk.is_waiting(), "there is no room yet");
    fs::remove_file(&segment_path).expect("the name goes");
    fixture.disk.submit(Vec::new());
    assert!(!fixture.disk.is_waiting());
    let mut written = Vec::new();
    let mut durable = 0;
    let mut has_room = false;
    while durable < 3 || !has_room {
        match next(&mut fixture.inbox) {
            Some(Input::Disk(DiskDone { id, stage: DiskStage::Written })) => written.push(id),
            Some(Input::Disk(DiskDone { stage: DiskStage::Durable, .. })) => durable += 1,
            Some(Input::DiskFull { is_full }) => has_room = !is_full,
            Some(Input::Tick) => {}
            told => panic!("{told:?}"),
        }
    }
    assert_eq!(written, [first, second, other], "in the order of issue");
    assert_eq!(fs::read(&segment_path).expect("a file"), b"abcdef");
}

#[test]
fn what_was_written_until_there_was_no_room_is_taken_back() {
    let mut fixture = Fixture::new();
    fixture.append(segment(0), 0, &[b"abc"]);
    fixture.stages(2);
    let path = fixture.disk.path(segment(0)).expect("its group has a folder");
    fs::write(&path, b"abcde").expect("it is ours");
    let file = File::options().write(true).open(&path).expect("it is ours");
    fixture.disk.take_back(segment(0), &file, 3).expect("it can be cut");
    assert_eq!(fs::read(&path).expect("a file"), b"abc");
}

#[test]
fn a_broker_is_told_of_a_reserve_that_is_touched() {
    let folder = Scratch::new();
    fs::create_dir(folder.path().join(META)).expect("a fresh folder");
    let (inbox, mut receiver) = Inbox::new();
    let (layout, _) = Layout::scan(folder.path()).expect("readable");
    let _disk = FileDisk::start(layout, inbox, 4, u64::MAX / 2).expect("threads start");
    assert!(matches!(next(&mut receiver), Some(Input::DiskFull { is_full: true })));
}
