logstore_test(test_streamr_wire streamr_wire streamr base dep::jansson)
