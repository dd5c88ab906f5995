//! `pgweir generate`: documents that come from the code.

use clap::ValueEnum;

use crate::config::reference;

/// A generated document.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Document {
    /// The sample settings file, `pgweir.toml`.
    SampleSettings,
    /// The reference of the settings, `docs/guide/settings.md`.
    SettingsPage,
}

impl Document {
    /// Its text.
    pub fn text(self) -> String {
        match self {
            Self::SampleSettings => reference::sample_toml(),
            Self::SettingsPage => reference::settings_page(),
        }
    }
}
