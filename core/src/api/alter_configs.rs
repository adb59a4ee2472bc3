//! AlterConfigs and IncrementalAlterConfigs: between the wire and the controller.
//!
//! Checked here is what needs no state (nothing twice, no nulls, known kinds of resources) and that a broker's settings are changed
//! through that very broker, as in Kafka; everything else is the controller leader's (`controller::plan_alter`). Log levels can't be
//! changed: this broker has no loggers.
//!
//! Source: Kafka `ConfigAdminManager`, KIP-133, KIP-339; golden `alter-*` and `legacy-alter-*`, README 31 and 32.

use super::describe_configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::config::{Change, Edit};
use crate::controller::{ConfigChange, ConfigResource, ConfigTarget, ControllerRequest, ControllerResponse, Refusal};
use crate::ids::BrokerId;
use crate::protocol::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResponse, response as legacy};
use crate::protocol::messages::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, response as incremental,
};
use crate::protocol::{ErrorCode, Text};
use std::collections::{BTreeMap, BTreeSet};

/// A request on its way: which resources were asked for and which of them were refused before the controller was asked.
#[derive(Clone, Debug)]
pub struct AlterJob {
    resources: Vec<(i8, Text, Option<Refusal>)>,
    changes: Vec<ConfigChange>,
    validate_only: bool,
}

/// One setting as the wire has it; AlterConfigs only sets.
struct Asked<'a> {
    name: &'a str,
    operation: i8,
    value: Option<&'a str>,
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl AlterJob {
    /// A request to replace all settings of its resources.
    #[must_use]
    pub fn replace(broker: BrokerId, request: &AlterConfigsRequest) -> AlterJob {
        let asked = request.resources.iter().map(|resource| {
            let configs = resource.configs.iter();
            let asked = configs.map(|c| Asked { name: &c.name, operation: SET, value: c.value.as_deref() }).collect();
            (resource.resource_type, &resource.resource_name, asked)
        });
        AlterJob::new(broker, &asked.collect::<Vec<_>>(), request.validate_only, |asked| {
            Ok(Change::Replace(asked.iter().map(|a| (a.name.into(), a.value.unwrap_or_default().into())).collect()))
        })
    }

    /// A request to edit some settings of its resources.
    #[must_use]
    pub fn edit(broker: BrokerId, request: &IncrementalAlterConfigsRequest) -> AlterJob {
        let asked = request.resources.iter().map(|resource| {
            let configs = resource.configs.iter();
            let asked = configs.map(|c| Asked { name: &c.name, operation: c.config_operation, value: c.value.as_deref() });
            (resource.resource_type, &resource.resource_name, asked.collect())
        });
        AlterJob::new(broker, &asked.collect::<Vec<_>>(), request.validate_only, |asked| {
            asked.iter().map(|a| Ok((a.name.to_string(), edit(a)?))).collect::<Result<_, _>>().map(Change::Edit)
        })
    }

    fn new(
        broker: BrokerId,
        asked: &[(i8, &Text, Vec<Asked<'_>>)],
        validate_only: bool,
        change: impl Fn(&[Asked<'_>]) -> Result<Change, i8>,
    ) -> AlterJob {
        let mut counts = BTreeMap::new();
        for (kind, name, _) in asked {
            *counts.entry((*kind, name.as_str())).or_insert(0) += 1;
        }
        let mut job = AlterJob { resources: Vec::new(), changes: Vec::new(), validate_only };
        for (kind, name, configs) in asked {
            let one = if counts[&(*kind, name.as_str())] > 1 {
                Err(request_fault("Each resource must appear at most once."))
            } else {
                check(broker, *kind, name, configs, &change)
            };
            let refusal = match one {
                Ok(change) => {
                    job.changes.push(change);
                    None
                }
                Err(refusal) => Some(refusal),
            };
            job.resources.push((*kind, (*name).clone(), refusal));
        }
        job
    }

    /// What the controller is asked; `None` if everything is refused already.
    #[must_use]
    pub fn plan(&self) -> Option<ControllerRequest> {
        let (changes, validate_only) = (self.changes.clone(), self.validate_only);
        (!changes.is_empty()).then_some(ControllerRequest::AlterConfigs { changes, validate_only })
    }

    /// What an AlterConfigs client is told.
    #[must_use]
    pub fn respond_replaced(self, response: ControllerResponse) -> AlterConfigsResponse {
        let responses = self.settle(response).into_iter().map(|(resource_type, resource_name, refusal)| legacy::Responses {
            error_code: code_of(refusal.as_ref()),
            error_message: message_of(refusal),
            resource_type,
            resource_name,
        });
        AlterConfigsResponse { responses: responses.collect(), ..AlterConfigsResponse::default() }
    }

    /// What an IncrementalAlterConfigs client is told.
    #[must_use]
    pub fn respond_edited(self, response: ControllerResponse) -> IncrementalAlterConfigsResponse {
        let responses = self.settle(response).into_iter().map(|(resource_type, resource_name, refusal)| incremental::Responses {
            error_code: code_of(refusal.as_ref()),
            error_message: message_of(refusal),
            resource_type,
            resource_name,
        });
        IncrementalAlterConfigsResponse { responses: responses.collect(), ..IncrementalAlterConfigsResponse::default() }
    }

    /// The controller's verdicts go to the resources that were not refused before.
    fn settle(self, response: ControllerResponse) -> Vec<(i8, Text, Option<Refusal>)> {
        let failure = response.failure();
        let verdicts = if let ControllerResponse::AlterConfigs(verdicts) = response { verdicts } else { Vec::new() };
        let mut verdicts = verdicts.into_iter();
        let settle = |(kind, name, refusal): (i8, Text, Option<Refusal>)| {
            let undecided = || Some(Refusal::new(failure, "The controller did not decide in time."));
            (kind, name, refusal.or_else(|| verdicts.next().unwrap_or_else(undecided)))
        };
        self.resources.into_iter().map(settle).collect()
    }
}

fn code_of(refusal: Option<&Refusal>) -> i16 {
    refusal.map_or(ErrorCode::None, |refusal| refusal.code).code()
}

fn message_of(refusal: Option<Refusal>) -> Option<Text> {
    refusal.map(|refusal| refusal.message).filter(|message| !message.is_empty()).map(Text::from)
}

fn request_fault(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

/// Errors are operations that do not exist.
fn edit(asked: &Asked<'_>) -> Result<Edit, i8> {
    let value = asked.value.unwrap_or_default().to_string();
    match asked.operation {
        SET => Ok(Edit::Set(value)),
        DELETE => Ok(Edit::Delete),
        APPEND => Ok(Edit::Append(value)),
        SUBTRACT => Ok(Edit::Subtract(value)),
        unknown => Err(unknown),
    }
}

fn check(
    broker: BrokerId,
    kind: i8,
    name: &Text,
    configs: &[Asked<'_>],
    change: impl Fn(&[Asked<'_>]) -> Result<Change, i8>,
) -> Result<ConfigChange, Refusal> {
    let distinct: BTreeSet<&str> = configs.iter().map(|asked| asked.name).collect();
    if distinct.len() < configs.len() {
        return Err(request_fault("Error due to duplicate config keys"));
    }
    let without_value = configs.iter().filter(|asked| asked.operation != DELETE && asked.value.is_none());
    let without_value: Vec<&str> = without_value.map(|asked| asked.name).collect();
    if !without_value.is_empty() {
        return Err(request_fault(format!("Null value not supported for : {}", without_value.join(", "))));
    }
    let target = match kind {
        TOPIC => ConfigTarget::Topic(name.to_string()),
        BROKER if name.is_empty() => ConfigTarget::Other(ConfigResource::AllBrokers),
        BROKER => {
            check_broker(broker, name, "broker id, expected {}, but")?;
            ConfigTarget::Other(ConfigResource::Broker(broker))
        }
        BROKER_LOGGER => {
            check_broker(broker, name, "node id. Expected {}, but")?;
            let logger = configs.first().map_or("", |asked| asked.name);
            return Err(Refusal::new(ErrorCode::InvalidConfig, format!("Logger {logger} does not exist!")));
        }
        CLIENT_METRICS => ConfigTarget::Other(ConfigResource::ClientMetrics(name.to_string())),
        GROUP => ConfigTarget::Other(ConfigResource::Group(name.to_string())),
        unknown => return Err(request_fault(format!("Unknown resource type {unknown}"))),
    };
    match change(configs) {
        Ok(change) => Ok(ConfigChange { target, change }),
        Err(operation) if kind == BROKER => Err(request_fault(format!("Unknown operations type {operation}"))),
        // Kafka's controller fails inside.
        Err(_) => Err(Refusal::new(ErrorCode::UnknownServerError, "")),
    }
}

fn check_broker(broker: BrokerId, name: &str, expected: &str) -> Result<(), Refusal> {
    match name.parse::<i32>() {
        Ok(id) if id == broker.0 => Ok(()),
        Ok(id) => Err(request_fault(format!("Unexpected {} received {id}", expected.replace("{}", &broker.to_string())))),
        Err(_) => Err(request_fault(format!("Node id must be an integer, but it is: {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::{alter_configs, incremental_alter_configs};

    fn edit_of(kind: i8, name: &str, configs: &[(&str, i8, Option<&str>)]) -> incremental_alter_configs::request::Resources {
        let configs = configs.iter().map(|(name, config_operation, value)| incremental_alter_configs::request::Configs {
            name: (*name).into(),
            config_operation: *config_operation,
            value: value.map(Text::from),
        });
        incremental_alter_configs::request::Resources {
            resource_type: kind,
            resource_name: name.into(),
            configs: configs.collect(),
        }
    }

    /// Codes and messages when the controller has nothing against what reaches it.
    fn answers(resources: Vec<incremental_alter_configs::request::Resources>) -> Vec<(i16, String)> {
        let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
        let job = AlterJob::edit(BrokerId(1), &request);
        let asked = job.changes.len();
        let response = job.respond_edited(ControllerResponse::AlterConfigs(vec![None; asked]));
        response.responses.into_iter().map(|r| (r.error_code, r.error_message.map_or("-".into(), |m| m.to_string()))).collect()
    }

    #[track_caller]
    fn check_one(kind: i8, name: &str, configs: &[(&str, i8, Option<&str>)], code: i16, message: &str) {
        assert_eq!(answers(vec![edit_of(kind, name, configs)]), [(code, message.to_string())]);
    }

    #[test]
    fn alter_before_the_controller() {
        check_one(2, "cf", &[("retention.ms", 0, Some("1"))], 0, "-");
        check_one(2, "cf", &[], 0, "-");
        check_one(2, "cf", &[("retention.ms", 0, None)], 42, "Null value not supported for : retention.ms");
        check_one(2, "cf", &[("a", 2, None), ("b", 0, None)], 42, "Null value not supported for : a, b");
        check_one(2, "cf", &[("retention.ms", 1, None)], 0, "-");
        check_one(2, "cf", &[("retention.ms", 9, Some("1"))], -1, "-");
        check_one(4, "1", &[("message.max.bytes", 9, Some("1"))], 42, "Unknown operations type 9");
        check_one(2, "cf", &[("a", 0, Some("1")), ("a", 0, Some("2"))], 42, "Error due to duplicate config keys");
        check_one(99, "x", &[("retention.ms", 0, Some("1"))], 42, "Unknown resource type 99");
    }

    #[test]
    fn alter_broker_other() {
        let set = [("message.max.bytes", 0, Some("1"))];
        check_one(4, "9999", &set, 42, "Unexpected broker id, expected 1, but received 9999");
        check_one(4, "abc", &set, 42, "Node id must be an integer, but it is: abc");
        check_one(4, "1", &set, 0, "-");
        check_one(4, "", &set, 0, "-");
        check_one(8, "9", &set, 42, "Unexpected node id. Expected 1, but received 9");
        check_one(8, "1", &[("root", 0, Some("INFO"))], 40, "Logger root does not exist!");
    }

    #[test]
    fn alter_same_resource_twice() {
        let one = || edit_of(2, "cf", &[("retention.ms", 0, Some("1"))]);
        let other = edit_of(2, "cg", &[("retention.ms", 0, Some("1"))]);
        let twice = (42, "Each resource must appear at most once.".to_string());
        assert_eq!(answers(vec![one(), other, one()]), [twice.clone(), (0, "-".to_string()), twice]);
    }

    #[test]
    fn verdicts_find_their_resources() {
        let resources = vec![
            edit_of(99, "x", &[]),
            edit_of(2, "a", &[("k", 0, Some("v"))]),
            edit_of(4, "9", &[]),
            edit_of(2, "b", &[("k", 0, Some("v"))]),
        ];
        let request = IncrementalAlterConfigsRequest { resources, validate_only: true };
        let job = AlterJob::edit(BrokerId(1), &request);
        assert!(matches!(job.plan(), Some(ControllerRequest::AlterConfigs { validate_only: true, .. })));
        let refusal = Refusal::new(ErrorCode::InvalidConfig, "no");
        let response = job.clone().respond_edited(ControllerResponse::AlterConfigs(vec![None, Some(refusal)]));
        assert_eq!(response.responses.iter().map(|r| r.error_code).collect::<Vec<_>>(), [42, 0, 42, 40]);
        let response = job.respond_edited(ControllerResponse::Failed(ErrorCode::RequestTimedOut));
        assert_eq!(response.responses.iter().map(|r| r.error_code).collect::<Vec<_>>(), [42, 7, 42, 7]);
    }

    #[test]
    fn legacy_alter() {
        let of = |kind, value: Option<&str>| alter_configs::request::Resources {
            resource_type: kind,
            resource_name: "cf".into(),
            configs: vec![alter_configs::request::Configs { name: "segment.ms".into(), value: value.map(Text::from) }],
        };
        let request = AlterConfigsRequest { resources: vec![of(2, Some("100000"))], validate_only: false };
        let job = AlterJob::replace(BrokerId(1), &request);
        let change = Change::Replace(vec![("segment.ms".into(), "100000".into())]);
        assert_eq!(job.changes, [ConfigChange { target: ConfigTarget::Topic("cf".into()), change }]);
        let request = AlterConfigsRequest { resources: vec![of(2, None)], validate_only: false };
        let job = AlterJob::replace(BrokerId(1), &request);
        assert_eq!(job.plan(), None);
        let answer = job.respond_replaced(ControllerResponse::AlterConfigs(Vec::new())).responses.remove(0);
        assert_eq!(answer.error_message.as_deref(), Some("Null value not supported for : segment.ms"));
    }
}
