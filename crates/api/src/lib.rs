//! HTTP: the VXG-compatible face, the native face, media URLs, OpenAPI.
