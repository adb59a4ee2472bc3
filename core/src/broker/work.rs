//! What a parked request waits for.

use super::admin::AdminJob;
use super::balance::Election;
use crate::api::delete_records::DeleteRecordsJob;
use crate::api::fetch::FetchJob;
use crate::api::list_offsets::ListOffsetsJob;
use crate::api::produce::ProduceJob;
use crate::protocol::messages::metadata::MetadataRequest;

/// One variant per kind of waiting.
#[derive(Debug)]
pub(crate) enum Work {
    /// For its batches to be written or committed.
    Produce(ProduceJob),
    /// For data, or for the disk once its answer is due. Boxed: the map of all parked requests moves its values about.
    Fetch(Box<FetchJob>),
    /// For the disk, or a search.
    ListOffsets(ListOffsetsJob),
    /// For the start of a log to move.
    DeleteRecords(DeleteRecordsJob),
    /// For the controller.
    Admin(AdminJob),
    /// For other leaders.
    Elect(Box<Election>),
    /// For the first leader of a partition.
    Metadata(MetadataRequest),
}
