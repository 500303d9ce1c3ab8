"""The shapes of requests and answers: the contract that openapi.json is made from."""
