//! What the real broker tells of the disk it is on.

use crate::broker::Broker;
use crate::client::Client;
use ottla_core::protocol::messages::describe_log_dirs::DescribeLogDirsRequest;

#[test]
fn the_volume_of_the_data_folder_is_told() {
    let broker = Broker::start("volume");
    let answer = Client::connect(&broker).ask(&DescribeLogDirsRequest { topics: None }, 4);
    let told = &answer.results[0];
    assert_eq!(told.log_dir.as_str(), broker.folder.join("data").display().to_string());
    assert!((1..=told.total_bytes).contains(&told.usable_bytes), "{told:?}");
}
