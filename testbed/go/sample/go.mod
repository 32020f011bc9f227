module slipway.dev/testbed/sample

go 1.26
