//! The categories of events, which are the partitions of `audit.events`.

/// A category of events; its partitions and its retention are its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Category {
    Data,
    Read,
    Security,
    Schema,
    System,
    Application,
}

impl Category {
    pub const ALL: [Category; 6] =
        [Category::Data, Category::Read, Category::Security, Category::Schema, Category::System, Category::Application];

    /// The name that events are stored with.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Data => "data",
            Category::Read => "read",
            Category::Security => "security",
            Category::Schema => "schema",
            Category::System => "system",
            Category::Application => "application",
        }
    }

    /// The category of that name.
    pub fn named(name: &str) -> Option<Category> {
        Category::ALL.into_iter().find(|category| category.name() == name)
    }
}
