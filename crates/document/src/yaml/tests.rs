//! Properties of YAML documents.
