//! A model file on this machine, to be loaded in a thread or in a process of its own.

use std::sync::Arc;

use parkway_core::model::SharedModel;
use parkway_llama::{GpuLayers, IsolatedConfig, LlamaConfig, LoadError};

#[derive(Clone, Debug)]
pub(crate) enum Local {
    Thread(LlamaConfig),
    Process(IsolatedConfig),
}

impl From<LlamaConfig> for Local {
    fn from(config: LlamaConfig) -> Self {
        Local::Thread(config)
    }
}

impl From<IsolatedConfig> for Local {
    fn from(config: IsolatedConfig) -> Self {
        Local::Process(config)
    }
}

impl Local {
    /// The same, and an error where it cannot be on a GPU as a whole.
    pub(crate) fn on_gpu(self) -> Self {
        match self {
            Local::Thread(config) => Local::Thread(config.gpu_layers(GpuLayers::All)),
            Local::Process(config) => Local::Process(config.gpu_layers(GpuLayers::All)),
        }
    }

    pub(crate) async fn load(self, progress: impl FnMut(f32) + Send + 'static) -> Result<SharedModel, LoadError> {
        Ok(match self {
            Local::Thread(config) => Arc::new(config.load_async(progress).await?),
            Local::Process(config) => Arc::new(config.load_async(progress).await?),
        })
    }

    pub(crate) fn load_vocabulary(self) -> Result<SharedModel, LoadError> {
        Ok(match self {
            Local::Thread(config) => Arc::new(config.load_vocabulary()?),
            Local::Process(config) => Arc::new(config.load_vocabulary()?),
        })
    }
}
