//! What the goals are about beside the files of this repository: a small git repository, a database of orders, and a folder to write to.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use parkway::definition::literal;
use parkway::{Inputs, Parkway, Workflow};
use serde_json::{Value, json};

use crate::facts;

/// The root of this repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The folder that is made, and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: String,
}

impl Place {
    /// Makes all of it anew in a folder, which is named from the root of this repository.
    pub(crate) async fn make(folder: &str) -> Result<Place, Box<dyn Error>> {
        let place = Place { folder: folder.to_owned() };
        let whole = place.path("");
        if whole.exists() {
            fs::remove_dir_all(&whole)?;
        }
        fs::create_dir_all(&whole)?;
        let made = Command::new(place.path_of("scripts/example-repository")).arg(place.path("parcels")).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).trim().into());
        }
        place.fill_database().await?;
        Ok(place)
    }

    /// Where everything begins.
    pub(crate) fn root(&self) -> &'static Path {
        Path::new(ROOT)
    }

    /// What goals name: the way to something in the made folder, from the root.
    pub(crate) fn name(&self, inside: &str) -> String {
        format!("{}/{inside}", self.folder)
    }

    /// The same as a path of this machine.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.path_of(&self.name(inside))
    }

    /// Something that is named from the root, as a path of this machine.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Removes what earlier goals wrote.
    pub(crate) fn clear(&self) -> Result<(), Box<dyn Error>> {
        let written = self.path("written");
        if written.exists() {
            fs::remove_dir_all(&written)?;
        }
        fs::create_dir_all(&written)?;
        Ok(())
    }

    /// What each family of tools is granted.
    pub(crate) fn grants(&self, family: &str) -> Value {
        match family {
            "files" => json!({ "read": ["examples/data"], "write": [self.name("written")] }),
            "git" => json!({ "read": [self.name("parcels")] }),
            "sql" => json!({ "databases": { "sales": { "sqlite": self.name("sales.db") } } }),
            _ => json!({}),
        }
    }

    /// Two weeks of orders, in a table. An empty file is an empty database.
    async fn fill_database(&self) -> Result<(), Box<dyn Error>> {
        fs::write(self.path("sales.db"), "")?;
        let rows = serde_json::to_string(&facts::orders(self)?)?;
        let create = "CREATE TABLE orders (number TEXT PRIMARY KEY, product TEXT NOT NULL, pieces INTEGER NOT NULL, status TEXT NOT NULL)";
        let fill = "INSERT INTO orders SELECT value ->> 'number', value ->> 'product', value ->> 'pieces', value ->> 'status' \
                    FROM json_each($rows) WHERE true";
        let steps = json!({
            "create": { "tool": "sql.execute", "with": { "database": "sales", "sql": literal(create) } },
            "fill": {
                "needs": ["create"],
                "tool": "sql.execute",
                "with": { "database": "sales", "sql": literal(fill), "params": { "rows": "${{ inputs.rows }}" } },
            },
        });
        let sales = json!({ "databases": { "sales": { "sqlite": self.name("sales.db"), "write": true } } });
        let workflow = Workflow::builder("sales").tools("sql", sales).raw("steps", steps);
        let workflow = workflow.raw("inputs", json!({ "rows": { "type": "string" } })).build()?;
        let parkway = Parkway::builder().root(self.root()).store("sqlite::memory:").build().await?;
        let run = parkway.start(workflow, Inputs::from_iter([("rows".to_owned(), json!(rows))])).await?;
        let _: Value = run.output().await?;
        Ok(())
    }
}
