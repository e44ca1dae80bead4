logstore_test(test_protobuf protobuf base)
logstore_test(test_eth eth base dep::jansson)
logstore_test(test_streamr streamr protobuf eth base dep::jansson)
logstore_test(test_json_valid streamr base)
