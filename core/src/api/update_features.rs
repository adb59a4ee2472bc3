//! UpdateFeatures: judged as Kafka judges it, but every feature has the one level that this version speaks, so what is allowed changes
//! nothing.
//!
//! Source: KIP-584, KIP-778 (kinds of upgrades), KIP-1022; Kafka `FeatureControlManager.updateFeature`; golden `update-features-*` and
//! what Kafka 4.3.1 said to cases beyond those.

use super::api_versions::{FEATURES, Feature};
use crate::ids::BrokerId;
use crate::protocol::messages::update_features::request::FeatureUpdates;
use crate::protocol::messages::update_features::response::Results;
use crate::protocol::messages::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::protocol::{ErrorCode, Text};

/// Kinds of changes; version 0 only has the first, and a flag that Kafka passes over.
const UPGRADE: i8 = 1;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Answers for `broker`. One wrong update spoils all of them.
#[must_use]
pub fn respond(broker: BrokerId, request: &UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    for update in &request.feature_updates {
        if let Err(why) = judge(broker, update) {
            let message = format!("The update failed for all features since the following feature had an error: {why}");
            return UpdateFeaturesResponse {
                error_code: ErrorCode::InvalidUpdateVersion.code(),
                error_message: Some(message.into()),
                ..UpdateFeaturesResponse::default()
            };
        }
    }
    let done = |update: &FeatureUpdates| Results {
        feature: update.feature.clone(),
        error_code: 0,
        error_message: Some(Text::from("NONE")),
    };
    let results = request.feature_updates.iter().map(done).collect();
    UpdateFeaturesResponse { error_message: None, results, ..UpdateFeaturesResponse::default() }
}

fn judge(broker: BrokerId, update: &FeatureUpdates) -> Result<(), String> {
    let (name, level) = (&update.feature, update.max_version_level);
    let wrong = |why: &str| Err(format!("Invalid update version {level} for feature {name}. {why}"));
    if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&update.upgrade_type) {
        return wrong("The controller does not support the given upgrade type.");
    }
    if level < 0 {
        return wrong("A feature version cannot be less than 0.");
    }
    let Some(Feature { min, max, .. }) = FEATURES.iter().find(|feature| *name == *feature.name) else {
        return wrong(&match level {
            0 => format!("Feature {name} not found."),
            _ => format!("Local controller {broker} does not support this feature."),
        });
    };
    if !(*min..=*max).contains(&level) {
        return wrong(&format!("Local controller {broker} only supports versions {min}-{max}"));
    }
    if level == *max {
        return Ok(());
    }
    if update.upgrade_type == UPGRADE {
        return wrong(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        );
    }
    Err(format!("Unsupported {name} downgrade from {max} to {level}. This broker speaks the finalized level only."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(updates: &[(&str, i16, i8)]) -> (i16, String, usize) {
        let update = |(name, level, kind): &(&str, i16, i8)| FeatureUpdates {
            feature: (*name).into(),
            max_version_level: *level,
            upgrade_type: *kind,
            ..FeatureUpdates::default()
        };
        let request = UpdateFeaturesRequest { feature_updates: updates.iter().map(update).collect(), ..Default::default() };
        let answer = respond(BrokerId(1), &request);
        assert!(answer.results.iter().all(|r| r.error_code == 0 && r.error_message.as_deref() == Some("NONE")));
        (answer.error_code, answer.error_message.map_or(String::new(), |text| text.to_string()), answer.results.len())
    }

    #[test]
    fn what_is_so_already_may_be_asked_for() {
        assert_eq!(ask(&[]), (0, String::new(), 0));
        for kind in 1..=3 {
            assert_eq!(ask(&[("metadata.version", 30, kind)]), (0, String::new(), 1));
        }
        assert_eq!(ask(&[("metadata.version", 30, 1), ("metadata.version", 30, 1)]), (0, String::new(), 2));
    }

    #[test]
    fn what_can_not_be_is_told_in_kafkas_words() {
        for (update, why) in [
            (
                ("no.such", 1, 1),
                "Invalid update version 1 for feature no.such. Local controller 1 does not support this feature.",
            ),
            (("nope", 0, 3), "Invalid update version 0 for feature nope. Feature nope not found."),
            (
                ("metadata.version", 31, 1),
                "Invalid update version 31 for feature metadata.version. Local controller 1 only supports versions 7-30",
            ),
            (
                ("metadata.version", 0, 2),
                "Invalid update version 0 for feature metadata.version. Local controller 1 only supports versions 7-30",
            ),
            (
                ("metadata.version", -1, 1),
                "Invalid update version -1 for feature metadata.version. A feature version cannot be less than 0.",
            ),
            (
                ("metadata.version", 30, 9),
                "Invalid update version 30 for feature metadata.version. The controller does not support the given upgrade type.",
            ),
            (
                ("metadata.version", 29, 1),
                "Invalid update version 29 for feature metadata.version. Can't downgrade the version of this feature without \
                 setting the upgrade type to either safe or unsafe downgrade.",
            ),
            (
                ("metadata.version", 29, 3),
                "Unsupported metadata.version downgrade from 30 to 29. This broker speaks the finalized level only.",
            ),
        ] {
            let expected = format!("The update failed for all features since the following feature had an error: {why}");
            assert_eq!(ask(&[("metadata.version", 30, 1), update]), (95, expected, 0));
        }
    }
}
