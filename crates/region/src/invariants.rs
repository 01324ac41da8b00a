//! Properties that hold after every sequence of requests.
