//! What the disk promises, and that it promises no more.

use super::{CrashKind, Damage, DiskSettings, SimDisk};
use bytes::Bytes;
use ottla_core::disk::{DiskAction, DiskOp, DiskStage, FileName};
use ottla_core::ids::{DiskId, Index, Offset};

fn append(id: u64, file: u32, position: u64, size: usize) -> DiskOp {
    let data = vec![Bytes::from(vec![u8::try_from(id % 250 + 1).expect("below 256"); size])];
    DiskOp { id: DiskId(id), action: DiskAction::Append { file: FileName::Meta(file), position, data, is_awaited: true } }
}

fn run(disk: &mut SimDisk, op: DiskOp, durable: bool) {
    let id = op.id;
    let events = disk.submit(0, op);
    assert_eq!(events.len(), 2);
    assert!(events[0].at <= events[1].at);
    disk.advance(id, true).expect("in order").expect("the disk works");
    if durable {
        disk.advance(id, false).expect("in order").expect("the disk works");
    }
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    let (mut torn, mut lost, mut all) = (0, 0, 0);
    for seed in 0..500 {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 0, 0, 700), true);
        run(&mut disk, append(2, 0, 700, 1500), false);
        run(&mut disk, append(3, 0, 2200, 900), false);
        disk.crash(CrashKind::PowerCut, 5);
        let (data, _) = disk.content(FileName::Meta(0)).expect("its name was synced");
        assert!(data.len() >= 700 && data[..700].iter().all(|b| *b == 2), "seed {seed}");
        let tail = &data[700..];
        if tail.is_empty() {
            lost += 1;
        } else if tail.iter().all(|b| *b != 0) && tail.len() == 2400 {
            all += 1;
        } else {
            torn += 1;
        }
    }
    assert!(torn > 50 && lost > 50 && all > 20, "torn {torn} lost {lost} all {all}");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let found = (0..200).any(|seed| {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 0, 0, 512), true);
        run(&mut disk, append(2, 0, 512, 512), false);
        run(&mut disk, append(3, 0, 1024, 512), false);
        disk.crash(CrashKind::PowerCut, 5);
        let (data, _) = disk.content(FileName::Meta(0)).expect("its name was synced");
        data.len() == 1536 && data[512..1024].iter().all(|b| *b == 0) && data[1024] == 4
    });
    assert!(found);
}

#[test]
fn a_kill_keeps_the_page_cache() {
    for seed in 0..50 {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 0, 0, 700), false);
        disk.crash(CrashKind::Kill, 5);
        assert_eq!(disk.start().files, vec![(FileName::Meta(0), 700)]);
    }
}

#[test]
fn a_file_never_synced_may_vanish_and_may_stay() {
    let mut seen = [false; 2];
    for seed in 0..100 {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 3, 0, 10), false);
        disk.crash(CrashKind::PowerCut, 5);
        seen[usize::from(disk.content(FileName::Meta(3)).is_some())] = true;
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_failed_sync_is_reported_once_and_stops_the_disk() {
    let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
    disk.start();
    disk.submit(0, append(1, 0, 0, 10));
    disk.submit(0, append(2, 0, 10, 10));
    disk.fail_next_sync();
    disk.advance(DiskId(1), true).expect("legal").expect("written");
    let (done, _) = disk.advance(DiskId(1), false).expect("legal").expect("told once");
    assert!(matches!(done.stage, DiskStage::Failed(_)));
    assert_eq!(disk.advance(DiskId(2), true), Ok(None));
    assert!(disk.submit(0, append(3, 0, 20, 10)).is_empty());
}

#[test]
fn an_append_that_did_not_wait_is_caught() {
    let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
    disk.start();
    disk.submit(0, append(1, 0, 5, 10));
    let what = disk.advance(DiskId(1), true).expect_err("there are no five bytes");
    assert!(what.contains("at 5"), "{what}");
}

#[test]
fn on_a_full_disk_appends_wait_and_a_crash_finds_a_part_at_most() {
    let full = || {
        let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 0, 0, 700), true);
        disk.fill(1_000_000);
        let events = disk.submit(10, append(2, 0, 700, 500));
        assert!(events.iter().all(|event| event.at >= 1_000_000), "{events:?}");
        disk
    };
    let mut disk = full();
    let (done, _) = disk.advance(DiskId(2), true).expect("legal").expect("told once");
    assert_eq!((done.stage, disk.disk_full), (DiskStage::Written, 1));
    let mut disk = full();
    disk.crash(CrashKind::Kill, 20);
    let length = disk.start().files[0].1;
    assert!((700..1_200).contains(&length), "{length}");
    disk.calm();
    run(&mut disk, append(3, 0, length, 500), true);
}

#[test]
fn a_flipped_bit_is_read_and_can_be_taken_away() {
    let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
    disk.start();
    run(&mut disk, append(1, 0, 0, 700), true);
    disk.damage(FileName::Meta(0), Damage::Flip { position: 5, mask: 0x40 });
    let read = |disk: &SimDisk| disk.read_now(FileName::Meta(0), 3, 4).expect("it is there");
    assert_eq!((read(&disk)[2], disk.is_rotten()), (2 ^ 0x40, true));
    disk.calm();
    assert_eq!((read(&disk)[2], disk.is_rotten()), (2, false));
}

#[test]
fn damage_is_read_and_the_bytes_below_stay() {
    let file = FileName::Meta(0);
    let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
    disk.start();
    run(&mut disk, append(1, 0, 0, 700), true);
    disk.damage(file, Damage::Foreign { position: 10, bytes: Bytes::from_static(b"xyz") });
    disk.damage(file, Damage::Unreadable { position: 100 });
    disk.damage(file, Damage::Short { length: 600 });
    assert_eq!(&disk.read_now(file, 8, 6).expect("readable")[..], [2, 2, b'x', b'y', b'z', 2]);
    assert!(disk.read_now(file, 90, 20).is_err());
    assert_eq!(disk.inventory().files, vec![(file, 600)]);
    disk.submit(0, DiskOp { id: DiskId(2), action: DiskAction::Read { file, position: 95, length: 10 } });
    let (done, _) = disk.advance(DiskId(2), false).expect("legal").expect("told once");
    assert!(matches!(done.stage, DiskStage::Failed(_)));
    disk.calm();
    assert_eq!(disk.inventory().files, vec![(file, 700)]);
    assert!(!disk.is_rotten());
}

#[test]
fn a_lying_disk_tells_what_it_only_claimed_until_an_honest_sync() {
    let file = FileName::Segment { group: ottla_core::ids::GroupId(3), base_offset: Offset(0), base_index: Index(2) };
    let on = |id: u64, position: u64, at: u64, disk: &mut SimDisk| {
        let action = DiskAction::Append { file, position, data: vec![Bytes::from(vec![1; 100])], is_awaited: true };
        disk.submit(at, DiskOp { id: DiskId(id), action });
        disk.advance(DiskId(id), true).expect("in order");
        disk.advance(DiskId(id), false).expect("in order");
    };
    let mut disk = SimDisk::new(1, 1, DiskSettings::calm());
    disk.start();
    let folder = DiskAction::CreateGroup { group: ottla_core::ids::GroupId(3), label: "a-0".into() };
    disk.submit(0, DiskOp { id: DiskId(1), action: folder });
    disk.advance(DiskId(1), false).expect("legal");
    on(2, 0, 0, &mut disk);
    disk.lie(1_000);
    on(3, 100, 10, &mut disk);
    on(4, 200, 20, &mut disk);
    assert_eq!(disk.content(file).map(|(_, durable)| durable), Some(300), "as it claims");
    assert_eq!(disk.lies(), vec![(file, 100, 300)]);
    disk.lie(1_000);
    on(5, 300, 30, &mut disk);
    on(6, 400, 2_000, &mut disk);
    assert_eq!(disk.lies(), vec![], "an honest sync took it along");
}

#[test]
fn a_crash_leaves_a_renamed_file_under_one_of_its_names() {
    let mut seen = [0, 0];
    for seed in 0..50 {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 0, 0, 700), true);
        run(&mut disk, append(2, 7, 0, 300), true);
        let files = vec![(FileName::Meta(0), FileName::Meta(7)), (FileName::Meta(8), FileName::Meta(9))];
        disk.submit(0, DiskOp { id: DiskId(3), action: DiskAction::Rename { files } });
        if seed % 2 == 0 {
            disk.advance(DiskId(3), false).expect("legal").expect("told once");
        }
        disk.crash(CrashKind::PowerCut, 10);
        let found = disk.start().files;
        let is_renamed = found == [(FileName::Meta(7), 700)];
        assert!(is_renamed || found == [(FileName::Meta(0), 700), (FileName::Meta(7), 300)], "{found:?}");
        assert!(is_renamed || seed % 2 == 1, "what was told is durable");
        seen[usize::from(is_renamed)] += 1;
    }
    assert!(seen[0] > 5 && seen[1] > 30, "{seen:?}");
}

#[test]
fn a_misread_gives_another_place_once_and_changes_nothing() {
    let (file, mut seen) = (FileName::Meta(0), [0, 0]);
    for seed in 0..60 {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        for n in 0..4 {
            run(&mut disk, append(1 + n, 0, 700 * n, 700), true);
            run(&mut disk, append(11 + n, 7, 700 * n, 700), true);
        }
        let read = |disk: &mut SimDisk, id: u64, at: u64| {
            disk.submit(at, DiskOp { id: DiskId(id), action: DiskAction::Read { file, position: 700, length: 700 } });
            let (done, _) = disk.advance(DiskId(id), false).expect("legal").expect("told once");
            let DiskStage::Read(data) = done.stage else { panic!("it is read") };
            data
        };
        let right = read(&mut disk, 30, 0);
        disk.misread(1_000, 500_000);
        let given = read(&mut disk, 31, 999);
        assert_eq!(given.len(), 700);
        assert_eq!(disk.misread, u64::from(given != right));
        seen[usize::from(given != right)] += 1;
        assert_eq!(read(&mut disk, 32, 1_000), right, "it is over");
        disk.misread(u64::MAX, 1_000_000);
        disk.calm();
        assert_eq!(read(&mut disk, 33, 5), right);
        assert!(!disk.is_rotten());
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
}

#[test]
fn a_name_that_a_rename_gave_away_may_be_read_as_before() {
    let mut seen = [0, 0];
    for seed in 0..60 {
        let mut disk = SimDisk::new(seed, 1, DiskSettings::calm());
        disk.start();
        run(&mut disk, append(1, 0, 0, 700), true);
        run(&mut disk, append(2, 7, 0, 700), true);
        let files = vec![(FileName::Meta(0), FileName::Meta(7))];
        disk.submit(0, DiskOp { id: DiskId(3), action: DiskAction::Rename { files } });
        disk.advance(DiskId(3), false).expect("legal").expect("told once");
        disk.misread(1_000, 1_000_000);
        let action = DiskAction::Read { file: FileName::Meta(7), position: 600, length: 100 };
        disk.submit(5, DiskOp { id: DiskId(4), action });
        let (done, _) = disk.advance(DiskId(4), false).expect("legal").expect("told once");
        let DiskStage::Read(data) = done.stage else { panic!("it is read") };
        seen[usize::from(data.iter().all(|byte| *byte == 3))] += 1;
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
}
