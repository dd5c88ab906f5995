//! `pgweir generate`: documents that come from the code.

use clap::ValueEnum;

use super::import;
use crate::admin::metrics;
use crate::advice::findings;
use crate::config::reference;
use crate::report::json;
use crate::rules;

/// A generated document.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Document {
    /// The sample settings file, `pgweir.toml`.
    SampleSettings,
    /// The reference of the settings, `docs/guide/settings.md`.
    SettingsPage,
    /// The reference of the metrics, `docs/guide/metrics.md`.
    MetricsPage,
    /// What becomes of the keys of other poolers, `docs/guide/importing.md`.
    ImportingPage,
    /// The reference of rule files, `rules/README.md`.
    RulesPage,
    /// What may be found besides indexes, `docs/guide/findings.md`.
    FindingsPage,
    /// The form of reports for programs, `docs/guide/report-json.md`.
    ReportJsonPage,
    /// The same as a JSON schema.
    ReportSchema,
}

impl Document {
    /// Its text.
    pub fn text(self) -> String {
        match self {
            Self::SampleSettings => reference::sample_toml(),
            Self::SettingsPage => reference::settings_page(),
            Self::MetricsPage => metrics::page(),
            Self::ImportingPage => import::page::text(),
            Self::RulesPage => rules::reference::page(),
            Self::FindingsPage => findings::page(),
            Self::ReportJsonPage => json::page::text(),
            Self::ReportSchema => json::SCHEMA.to_owned(),
        }
    }
}
