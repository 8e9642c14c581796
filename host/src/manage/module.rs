//! Modules that are refused for their content, and having one tried again.
//!
//! They are nobody's: two tenants may have brought the same bytes. So they are the operator's to see.

use hookyard_domain::ContentHash;

use super::{Manage, Refusal};
use crate::store::ModuleRefusal;

impl Manage {
    /// The newest 1,000, newest first.
    pub async fn refused_modules(&self) -> Result<Vec<ModuleRefusal>, Refusal> {
        Ok(self.store.module_refusals().await?)
    }

    /// Has a module tried again, on every node: by those who offer it, and where it is active.
    pub async fn retry_module(&self, module: ContentHash) -> Result<(), Refusal> {
        if self.store.forget_module_refusal(module).await? {
            Ok(())
        } else {
            Err(Refusal::NotFound { what: "refused module" })
        }
    }
}
